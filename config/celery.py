import os
from typing import Any

from celery import Celery, Task
from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun
from kombu.transport import TRANSPORT_ALIASES

from audit.context import request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
TRANSPORT_ALIASES["spool"] = "config.spool:Transport"

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: object) -> None:
    """Being connected is the effect: celery then leaves the logging of the settings as it is."""


@before_task_publish.connect
def send_request_id_along(headers: dict[str, Any] | None = None, **kwargs: object) -> None:
    """Let the work that a request causes carry the id of that request, in logs and in the record."""
    if headers is not None and request_id.get():
        headers["request_id"] = request_id.get()


@task_prerun.connect
def take_request_id_over(task: Task[..., Any], task_id: str, **kwargs: object) -> None:
    request_id.set(getattr(task.request, "request_id", None) or task_id.replace("-", "")[:16])


@task_postrun.connect
def forget_request_id(**kwargs: object) -> None:
    request_id.set("")
