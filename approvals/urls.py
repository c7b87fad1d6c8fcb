from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from approvals.views import (
    appearance,
    audit,
    content,
    draft,
    edit,
    follow_ups,
    history,
    mailboxes,
    operations,
    policies,
    queue,
    sent,
    unknown,
)

app_name = "approvals"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", queue.front, name="front"),
    path("theme/", appearance.set_theme, name="theme"),
    path("queue/", queue.queue, name="queue"),
    path("drafts/<uuid:public_id>/", draft.show, name="draft"),
    path("drafts/<uuid:public_id>/approve/", draft.approve, name="approve"),
    path("drafts/<uuid:public_id>/reject/", draft.reject, name="reject"),
    path("drafts/<uuid:public_id>/request-changes/", draft.request_changes, name="request_changes"),
    path("drafts/<uuid:public_id>/undo/", draft.undo, name="undo"),
    path("drafts/<uuid:public_id>/look-again/", draft.look_again, name="look_again"),
    path("drafts/<uuid:public_id>/edit/", edit.edit, name="edit"),
    path("drafts/<uuid:public_id>/versions/<int:number>/body/", content.revision_body, name="revision_body"),
    path(
        "drafts/<uuid:public_id>/messages/<int:message_id>/body/", content.message_body, name="message_body"
    ),
    path(
        "drafts/<uuid:public_id>/messages/<int:message_id>/attachment/",
        content.message_attachment,
        name="message_attachment",
    ),
    path("drafts/<uuid:public_id>/attachments/<str:sha256>/", content.attachment, name="attachment"),
    path("sent/", sent.sent, name="sent"),
    path("audit/", audit.audit, name="audit"),
    path("policies/", policies.policies, name="policies"),
    path("policies/history/", history.history, name="history"),
    path("policies/history/<int:judgement_id>/", history.judgement, name="judgement"),
    path("operations/", operations.show, name="operations"),
    path("operations/stop/", operations.stop, name="stop"),
    path("operations/resume/", operations.resume, name="resume"),
    path("operations/held/", operations.resume_held, name="resume_held"),
    path("operations/condition/", operations.show_condition, name="condition"),
    path("mailboxes/", mailboxes.mailboxes, name="mailboxes"),
    path("mailboxes/connect/", mailboxes.connect, name="connect"),
    path("mailboxes/<uuid:public_id>/", mailboxes.mailbox, name="mailbox"),
    path("mailboxes/<uuid:public_id>/stop/", mailboxes.stop, name="mailbox_stop"),
    path("mailboxes/<uuid:public_id>/resume/", mailboxes.resume, name="mailbox_resume"),
    path("unknown/", unknown.unknown, name="unknown"),
    path("unknown/<uuid:public_id>/", unknown.unknown_send, name="unknown_send"),
    path("unknown/<uuid:public_id>/sent/", unknown.taken_as_sent, name="taken_as_sent"),
    path("unknown/<uuid:public_id>/not-sent/", unknown.taken_as_not_sent, name="taken_as_not_sent"),
    path("unknown/<uuid:public_id>/resend/", unknown.resend, name="resend"),
    path("follow-ups/", follow_ups.follow_ups, name="follow_ups"),
    path("follow-ups/<uuid:public_id>/", follow_ups.follow_up, name="follow_up"),
    path("follow-ups/<uuid:public_id>/correct/", follow_ups.correct, name="follow_up_correct"),
    path("follow-ups/<uuid:public_id>/escalate/", follow_ups.escalate, name="follow_up_escalate"),
    path("follow-ups/<uuid:public_id>/close/", follow_ups.close, name="follow_up_close"),
]
