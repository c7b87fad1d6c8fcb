"""Everything one sandbox process holds, and the questions every route asks of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .agenda import Agenda
from .clock import Clock
from .errors import ApiError, not_found
from .events import Events
from .exchange import Request
from .faults import Faults
from .idempotency import Keys
from .journal import Journal
from .pace import Pace
from .people import same
from .store import Record, Store
from .switches import Switches

SYSTEM_FOLDERS = ("Inbox", "Sent", "Drafts", "Trash", "Junk", "Archive")
ATTRIBUTES = {
    "Inbox": "\\Inbox",
    "Sent": "\\Sent",
    "Drafts": "\\Drafts",
    "Trash": "\\Trash",
    "Junk": "\\Junk",
    "Archive": "\\Archive",
}


class World:
    def __init__(
        self, store_path: Path, *, seed: int = 1, api_key: str = "", sends_per_second: float = 0.0
    ) -> None:
        self.new_uuid: Callable[[], uuid.UUID] = uuid.uuid4
        self.seed = seed
        self.api_key = api_key
        self.clock = Clock()
        self.store = Store(store_path)
        self.switches = Switches(**({"sends_per_second": sends_per_second} if sends_per_second else {}))
        self.faults = Faults(seed)
        self.keys = Keys(self.clock, self.store)
        self.pace = Pace()
        self.sends = Journal(store_path.with_name(store_path.name + ".sends.jsonl"), is_synced=True)
        self.arrivals = Journal(store_path.with_name(store_path.name + ".arrivals.jsonl"), is_synced=False)
        self.agenda = Agenda(self.store, self.clock)
        # Grows with every reset; whoever holds a request silent lets go of it then.
        self.generation = 0
        self.is_closing = threading.Event()
        self._found_application()
        self.events = Events(
            self.store, self.clock, self.switches, self.faults, self.application["application_id"]
        )

    def _found_application(self) -> None:
        """Create the application and its default workspace unless the store has them."""
        with self.store.change():
            self.application = self.store.get("application", "application") or {
                "id": "application",
                "application_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"application-{self.seed}.example")),
                "organization_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"organization-{self.seed}.example")),
                "default_workspace": str(self.new_uuid()),
            }
            self._store_application()

    def _store_application(self) -> None:
        self.store.put("application", self.application)
        if self.store.get("workspace", self.application["default_workspace"]) is None:
            now = self.clock.seconds()
            self.store.put(
                "workspace",
                {
                    "id": self.application["default_workspace"],
                    "name": "Default workspace",
                    "domain": "",
                    "auto_group": False,
                    "default": True,
                    "policy_id": None,
                    "rule_ids": [],
                    "created_at": now,
                    "updated_at": now,
                },
            )

    @property
    def ownership(self) -> dict[str, str]:
        return {name: self.application[name] for name in ("application_id", "organization_id")}

    def reset(self, *, seed: int | None, keep_webhooks: bool) -> None:
        """Forget mail, rules, faults, keys and both logs, and go back to the machine's clock."""
        with self.store.lock:
            webhooks = self.store.all("webhook") if keep_webhooks else []
            self.events.clear()
            self.store.clear()
            self.clock.set_offset(0.0)
            self.switches.restore()
            self.seed = self.seed if seed is None else seed
            self.faults.clear(self.seed)
            self.keys.clear()
            self.pace.clear()
            self.sends.clear()
            self.arrivals.clear()
            self.agenda.rebuild()
            self.generation += 1
            with self.store.change():
                # The application keeps its ids over a reset, so that a client configured before still fits.
                self._store_application()
                for webhook in webhooks:
                    self.store.put("webhook", webhook)

    def new_mail_id(self) -> str:
        plain = self.new_uuid().hex
        return (
            f"<{plain[:8]}/{plain[8:20]}+{plain[20:]}#@mail>"
            if self.switches["message_ids"] == "awkward"
            else plain
        )

    def find_grant(self, id_or_address: str) -> Record | None:
        prefix, colon, rest = id_or_address.partition(":")
        if colon and prefix in {"grant", "email"}:
            id_or_address = rest
        grant = self.store.get("grant", id_or_address)
        if grant is None and "@" in id_or_address:
            return next(
                (entry for entry in self.store.all("grant") if same(entry["email"], id_or_address)), None
            )
        return grant

    def grant(self, request: Request) -> Record:
        """Return the grant named in the path; raises 404, 401 when it is revoked, 423 when it is blocked."""
        grant = self.find_grant(request.parameters["grant_id"])
        if grant is None:
            raise not_found("grant")
        if grant["grant_status"] != "valid":
            raise ApiError(401, "unauthorized", "Grant is no longer valid and needs re-authentication")
        if grant["blocked"]:
            raise ApiError(423, "api.resource_blocked", "This grant is blocked")
        return grant

    def folder(self, grant_id: str, name: str) -> Record:
        for folder in self.store.all("folder"):
            if folder["grant_id"] == grant_id and same(folder["name"], name):
                return folder
        raise not_found("folder")

    def folder_ids(self, grant_id: str) -> dict[str, str]:
        """Return the ids of a mailbox's folders by lower-case name."""
        return {
            folder["name"].lower(): folder["id"]
            for folder in self.store.all("folder")
            if folder["grant_id"] == grant_id
        }

    def require(self, kind: str, id: str, grant_id: str | None = None, *, what: str = "object") -> Record:
        record = self.store.get(kind, id)
        if record is None or (grant_id is not None and record["grant_id"] != grant_id):
            raise not_found(what)
        return record

    def create_grant(
        self, *, email: str, name: str = "", provider: str = "nylas", id: str = "", workspace_id: str = ""
    ) -> Record:
        now = self.clock.seconds()
        domain = email.rpartition("@")[2].lower()
        if not workspace_id:
            grouped = [
                workspace
                for workspace in self.store.all("workspace")
                if workspace["auto_group"] and same(workspace["domain"], domain)
            ]
            workspace_id = grouped[0]["id"] if grouped else self.application["default_workspace"]
        grant: Record = {
            "id": id or str(self.new_uuid()),
            "provider": provider,
            "grant_status": "valid",
            "email": email,
            "name": name,
            "scope": [],
            "workspace_id": workspace_id,
            "settings": {"email": email},
            "blocked": False,
            "created_at": now,
            "updated_at": now,
        }
        with self.store.change():
            self.store.put("grant", grant)
            for folder in SYSTEM_FOLDERS:
                self.store.put("folder", self.new_folder(grant["id"], folder, is_system=True))
        self.emit_grant("grant.created", grant, 25012)
        return grant

    def new_folder(self, grant_id: str, name: str, *, is_system: bool = False, parent_id: str = "") -> Record:
        by_name = is_system and self.switches["folder_ids"] == "name"
        return {
            "id": f"{name.upper()}-{grant_id[:8]}" if by_name else str(self.new_uuid()),
            "grant_id": grant_id,
            "name": name,
            "parent_id": parent_id or None,
            "is_system": is_system,
        }

    def emit_grant(self, type: str, grant: Record, code: int) -> None:
        object: dict[str, Any] = {
            "code": code,
            "grant_id": grant["id"],
            "integration_id": self.application["application_id"],
            "provider": grant["provider"],
            "email": grant["email"],
            "grant_updated_at": self.clock.seconds(),
        }
        if type == "grant.updated":
            object["reauthentication_flag"] = False
        self.events.emit(type, object, grant_id=grant["id"], source="/nylas/system")

    def revoke(self, grant: Record) -> None:
        with self.store.change():
            grant["grant_status"] = "invalid"
            self.store.put("grant", grant)
        self.emit_grant("grant.expired", grant, 25009)

    def close(self) -> None:
        self.is_closing.set()
        self.events.close()
        self.agenda.close()
        self.store.close()
