from typing import Any

from django.db import migrations, models
from django.db.models import F


def place_by_expiry(apps: Any, schema_editor: Any) -> None:
    """The risk of what waits is told by the sweep, a few at a time; until then it stands by its expiry."""
    apps.get_model("approvals", "Draft").objects.update(queue_at=F("expires_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0017_keyboard"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="draft",
            name="draft_pending_by_expiry",
        ),
        migrations.AddField(
            model_name="draft",
            name="risk",
            field=models.PositiveSmallIntegerField(
                choices=[(1, "High risk"), (2, "Normal risk"), (3, "Low risk")], null=True
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="risk_reasons",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="draft",
            name="queue_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(place_by_expiry, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="draft",
            name="queue_at",
            field=models.DateTimeField(),
        ),
        migrations.AddConstraint(
            model_name="draft",
            constraint=models.CheckConstraint(
                condition=models.Q(("risk__isnull", True), ("risk__in", [1, 2, 3]), _connector="OR"),
                name="draft_risk_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["queue_at", "id"],
                name="draft_pending_by_place",
            ),
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["mailbox", "queue_at", "id"],
                name="draft_pending_box_by_place",
            ),
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(
                condition=models.Q(("risk__isnull", True), ("state", "pending")),
                fields=["id"],
                name="draft_risk_untold",
            ),
        ),
    ]
