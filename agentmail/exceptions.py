"""Why a call to the provider did not give what was asked. Sends do not raise: they return a `SendReply`."""


class ProviderError(Exception):
    """Base. `status_code` and `request_id` are those of the reply, where there was one.

    The text names the call and the status, never an address or content. `error_message` is the provider's;
    `field` is the field of the request that it names, such as `limits.limit_spam_retention_period`, or empty.
    """

    def __init__(
        self,
        detail: str,
        *,
        status_code: int | None = None,
        request_id: str = "",
        error_type: str = "",
        error_message: str = "",
        field: str = "",
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status_code = status_code
        self.request_id = request_id
        self.error_type = error_type
        self.error_message = error_message
        self.field = field
        self.retry_after_seconds = retry_after_seconds


class ProviderNotConfigured(ProviderError):
    """No address or key of a provider is set: nothing can be read and nothing can be sent."""


class ProviderUnavailable(ProviderError):
    """No usable answer now (connection, time limit, 429, 5xx, unreadable body). Asking again may help."""


class Unauthenticated(ProviderError):
    """401: the key is wrong or the grant is revoked."""


class NotFound(ProviderError):
    """404: the provider does not have the object, or no longer."""


class RequestRefused(ProviderError):
    """Another 4xx: asking again in the same way will not help."""


class TooLarge(RequestRefused):
    """The reply is larger than we take."""
