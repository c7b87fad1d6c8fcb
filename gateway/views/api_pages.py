"""The interface under /api/v1/ as a document and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from gateway.api.app import api


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as the OpenAPI document tells it; `fields` are name, kind and whether it must be given."""

    name: str
    method: str
    path: str
    summary: str
    fields: list[tuple[str, str, bool]]
    statuses: list[str]


PREFIX = "/api/v1/"


@require_safe
def api_document(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document of the interface under /api/v1/."""
    return JsonResponse(api.get_openapi_schema(path_prefix=PREFIX))


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """The interface under /api/v1/ to read, made from its own OpenAPI document."""
    schema = api.get_openapi_schema(path_prefix=PREFIX)
    return render(request, "gateway/api-docs.html", {"operations": list(_operations(schema)), "here": ""})


def _operations(schema: Any) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            yield Operation(
                name=told["operationId"],
                method=method.upper(),
                path=path,
                summary=told.get("description", "").replace("`", ""),
                fields=[
                    *((one["name"], one["in"], one["required"]) for one in told.get("parameters", [])),
                    *_body(schema, told),
                ],
                statuses=[str(status) for status in told["responses"]],
            )


def _body(schema: Any, told: Any) -> Iterator[tuple[str, str, bool]]:
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    reference = content.get("$ref", "").rpartition("/")[2]
    shape = schema["components"]["schemas"].get(reference, content)
    required = shape.get("required", [])
    fields = shape.get("properties", {})
    for name in sorted(fields, key=lambda name: name not in required):
        yield name, _kind(fields[name]), name in required


def _kind(shape: Any) -> str:
    """What a field takes, in words: each of the shapes that it may have."""
    some = shape.get("anyOf", [shape])
    kinds = [one.get("type") or one.get("$ref", "").rpartition("/")[2].lower() for one in some]
    return ", ".join(kind for kind in dict.fromkeys(kinds) if kind and kind != "null")


@csrf_exempt
def unknown(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"error": "not_found", "reason": f"no such address; see {PREFIX}docs"}, status=404)
