from django.urls import URLPattern, URLResolver, include, path, re_path

from gateway.api.app import api
from gateway.api.emails import router as emails
from gateway.api.mailboxes import router as mailboxes
from gateway.api.operations import router as operations
from gateway.api.policy import router as policy
from gateway.mcp import endpoint as mcp
from gateway.views import api_pages

api.add_router("/emails", emails)
api.add_router("/mailboxes", mailboxes)
api.add_router("", policy)
api.add_router("", operations)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("gateway.page_urls")),
    path("api/v1/", api.urls),
    # With every character, so that no program that mistypes an address gets a page for people.
    re_path(r"^api(?:/[\s\S]*)?\Z", api_pages.unknown),
    path("mcp", mcp),
    path("", include("gateway.nylas.routes")),
]
