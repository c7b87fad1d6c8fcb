import json
import logging

from audit.context import request_id
from config.logs import JsonFormatter, LineFormatter


def a_record(message: str, *arguments: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("approvals.dispatch", logging.WARNING, "", 1, message, arguments, exc_info)


def test_a_json_line_names_the_request() -> None:
    token = request_id.set("abc123")
    line = json.loads(JsonFormatter().format(a_record("send %s is due", 7)))
    request_id.reset(token)
    assert line["message"] == "send 7 is due"
    assert line["request_id"] == "abc123"
    assert line["level"] == "warning"


def test_a_line_break_in_a_value_cannot_make_a_second_json_line() -> None:
    assert "\n" not in JsonFormatter().format(a_record("value %s", "a\nb"))


def test_a_json_line_holds_the_place_of_an_exception_and_not_its_message() -> None:
    try:
        raise ValueError("customer@example.com")
    except ValueError as error:
        line = JsonFormatter().format(a_record("failed", exc_info=(ValueError, error, error.__traceback__)))
    assert "ValueError" in line
    assert "customer@example.com" not in line


def test_a_text_line_escapes_line_breaks_of_values() -> None:
    assert "\n" not in LineFormatter().format(a_record("value %s", "a\nb"))
