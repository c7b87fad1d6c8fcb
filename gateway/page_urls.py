from django.urls import URLPattern, URLResolver, path

from gateway.views import api_pages, tokens, webhooks

app_name = "gateway"
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/docs", api_pages.api_docs, name="api_docs"),
    path("api/v1/openapi.json", api_pages.api_document, name="api_document"),
    path("tokens/", tokens.listing, name="tokens"),
    path("tokens/<uuid:public_id>/revoke/", tokens.revoke, name="token_revoke"),
    path("webhooks/", webhooks.listing, name="webhooks"),
    path("webhooks/new/", webhooks.new, name="webhook_new"),
    path("webhooks/<uuid:public_id>/", webhooks.show, name="webhook"),
    path("webhooks/<uuid:public_id>/edit/", webhooks.edit, name="webhook_edit"),
    path("webhooks/<uuid:public_id>/secret/", webhooks.rotate, name="webhook_rotate"),
    path("webhooks/<uuid:public_id>/secret/end/", webhooks.end_rotation, name="webhook_end_rotation"),
    path("webhooks/<uuid:public_id>/switch/", webhooks.switch, name="webhook_switch"),
    path("webhooks/<uuid:public_id>/test/", webhooks.test, name="webhook_test"),
    path("webhooks/<uuid:public_id>/remove/", webhooks.remove, name="webhook_remove"),
    path(
        "webhooks/<uuid:public_id>/deliveries/<uuid:delivery_id>/resend/",
        webhooks.resend,
        name="webhook_resend",
    ),
]
