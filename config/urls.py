from importlib.util import find_spec

from allauth.account import views as account_views
from django.urls import URLPattern, URLResolver, include, path

from config import health

handler400 = "config.errors.bad_request"
handler500 = "config.errors.server_error"

# Only these of the sign-in package: no sign-up, no recovery by mail, no addresses to confirm.
accounts: list[URLPattern | URLResolver] = [
    path("login/", account_views.login, name="account_login"),
    path("logout/", account_views.logout, name="account_logout"),
    path("inactive/", account_views.account_inactive, name="account_inactive"),
    path("password/change/", account_views.password_change, name="account_change_password"),
    path("reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("accounts/", include(accounts)),
]
for module in ("agentmail.urls", "approvals.urls", "gateway.urls"):
    if find_spec(module):
        urlpatterns.append(path("", include(module)))
