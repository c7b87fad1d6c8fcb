from __future__ import annotations

from django.db import models


class Switch(models.Model):
    """Whether sending is stopped in a scope: "global" or "mailbox:<id>". A scope without a row counts as
    stopped.
    """

    scope = models.CharField(max_length=64, unique=True)
    is_engaged = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    changed_by = models.TextField(blank=True)
    # Database clock and number of the audit entry of the last flip; empty until the first.
    changed_at = models.DateTimeField(null=True)
    changed_sequence = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["scope"]
        verbose_name_plural = "switches"

    def __str__(self) -> str:
        return self.scope
