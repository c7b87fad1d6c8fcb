"""The one signal other apps may listen to."""

from django.dispatch import Signal

# Sent after the commit with `event_id`, the id of a `ProviderEvent` that was stored just now. A receiver that
# fails or never runs costs delay only: the row waits in state `stored`.
event_stored = Signal()
