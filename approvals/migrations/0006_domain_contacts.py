from __future__ import annotations

from datetime import datetime
from typing import Any

import django.db.models.deletion
import idna
from django.db import migrations, models

ROWS_AT_ONCE = 2000


def note_domains_written_to(apps: Any, schema_editor: Any) -> None:
    """Mail that was accepted before this table existed counts as contact, too."""
    contact = apps.get_model("approvals", "DomainContact")
    sends = apps.get_model("approvals", "Send").objects.filter(state="accepted", accepted_at__isnull=False)
    first: dict[tuple[int, str], datetime] = {}
    rows = sends.values_list(
        "mailbox_id",
        "accepted_at",
        "decision__revision__to",
        "decision__revision__cc",
        "decision__revision__bcc",
    )
    for mailbox_id, at, *fields in rows.iterator(chunk_size=ROWS_AT_ONCE):
        for entry in (entry for field in fields for entry in field):
            domain = _a_labels(str(entry.get("email", "")).rpartition("@")[2].strip())
            key = (mailbox_id, domain)
            if 0 < len(domain) <= 253 and (key not in first or at < first[key]):
                first[key] = at
    contact.objects.bulk_create(
        (contact(mailbox_id=key[0], domain=key[1], first_at=at) for key, at in sorted(first.items())),
        batch_size=ROWS_AT_ONCE,
        ignore_conflicts=True,
    )


def _a_labels(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0005_oversight_modes"),
    ]

    operations = [
        migrations.CreateModel(
            name="DomainContact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=253)),
                ("first_at", models.DateTimeField()),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentmail.mailbox",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("mailbox", "domain"), name="domain_contact_once")
                ],
            },
        ),
        migrations.RunPython(note_domains_written_to, migrations.RunPython.noop),
    ]
