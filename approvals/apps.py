from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ApprovalsConfig(AppConfig):
    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from approvals import receivers  # noqa: F401, PLC0415 - signals are connected once the models are loaded

        post_migrate.connect(install_search, sender=self)


def install_search(using: str, **_: Any) -> None:
    from approvals import search  # noqa: PLC0415 - models cannot be imported while the applications are loading

    # A migration backwards ends here too, without the table.
    if "approvals_draft" in connections[using].introspection.table_names():
        search.install(connections[using])
