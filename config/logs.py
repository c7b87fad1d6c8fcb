"""Log lines of one shape. They name things by id only; nothing of a mail and no secret is an argument."""

import json
import logging
import traceback
from datetime import UTC, datetime

from audit.context import request_id


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _exception_text(record: logging.LogRecord) -> str:
    """The type and the places of an exception, without its message: messages quote values."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(record.exc_info[2])
    ]
    return f"{record.exc_info[0].__name__} at " + " < ".join(reversed(places))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if exception := _exception_text(record):
            line["exception"] = exception
        return json.dumps(line, ensure_ascii=True)


class LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        marker = f" [{request_id.get()}]" if request_id.get() else ""
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_at(record)} {record.levelname.lower()} {record.name}{marker} {message}"
        if record.exc_info and record.exc_info[0] is not None:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line
