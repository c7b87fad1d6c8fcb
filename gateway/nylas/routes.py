"""Which addresses of the provider an agent reaches here. Every other is refused and recorded."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path

from gateway.nylas import reads, writes
from gateway.nylas.door import not_offered, route

_GRANT = "nylas/v3/grants/<str:grant>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_GRANT}", route(GET=reads.grant)),
    path(f"{_GRANT}/messages", route(GET=reads.list_messages)),
    path(f"{_GRANT}/messages/send", route(POST=writes.send_message)),
    path(
        f"{_GRANT}/messages/<str:message_id>",
        route(GET=reads.get_message, PUT=writes.update_message),
    ),
    path(f"{_GRANT}/threads", route(GET=reads.list_threads)),
    path(f"{_GRANT}/threads/<str:thread_id>", route(GET=reads.get_thread)),
    path(f"{_GRANT}/folders", route(GET=reads.list_folders)),
    path(f"{_GRANT}/folders/<str:folder_id>", route(GET=reads.get_folder)),
    path(f"{_GRANT}/contacts", route(GET=reads.list_contacts)),
    path(f"{_GRANT}/contacts/<str:contact_id>", route(GET=reads.get_contact)),
    path(f"{_GRANT}/drafts", route(GET=reads.list_drafts, POST=writes.create_draft)),
    path(
        f"{_GRANT}/drafts/<str:draft_id>",
        route(
            GET=reads.get_draft,
            PUT=writes.update_draft,
            POST=writes.send_draft,
            DELETE=writes.delete_draft,
        ),
    ),
    path(f"{_GRANT}/attachments/<str:attachment_id>", route(GET=reads.get_attachment)),
    path(f"{_GRANT}/attachments/<str:attachment_id>/download", route(GET=reads.download_attachment)),
    # With every character, a line break too, so that nothing below falls through to the pages for people.
    re_path(r"^nylas(?:/[\s\S]*)?\Z", not_offered),
]
