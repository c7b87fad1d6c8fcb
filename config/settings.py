import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from kombu import Exchange, Queue

from config import environment

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = environment.path("VAR_DIR", BASE_DIR / "var")
try:
    VAR_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"VAR_DIR {VAR_DIR} cannot be made: {error}") from error
LOCKS_DIR = environment.path("LOCKS_DIR", VAR_DIR / "locks")
INSTANCE_FILE = environment.path("INSTANCE_FILE", VAR_DIR / "instance")
KILL_SWITCH_FILE = environment.path("KILL_SWITCH_FILE", VAR_DIR / "STOP")

# Where the database is a server, other people rely on this desk: unsafe settings then stop the start.
DATABASE_URL = environment.secret("DATABASE_URL")
PRODUCTION = environment.flag("PRODUCTION", DATABASE_URL.startswith(("postgres://", "postgresql://")))

DEBUG = environment.flag("DEBUG", False)
BASE_URL = environment.text("BASE_URL").rstrip("/")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS", [])
SECRET_KEY = environment.secret("SECRET_KEY")
FAILPOINT = environment.text("FAILPOINT")

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
base = urlsplit(BASE_URL)
if BASE_URL and (base.scheme not in ("http", "https") or not base.hostname or base.path or base.query):
    raise ImproperlyConfigured("BASE_URL must look like https://desk.example, without a path")
IS_HTTPS = base.scheme == "https"

if PRODUCTION:
    problems = [
        (not SECRET_KEY, "SECRET_KEY (or SECRET_KEY_FILE) is missing"),
        (bool(SECRET_KEY) and len(SECRET_KEY) < 50, "SECRET_KEY is shorter than 50 characters"),
        (not ALLOWED_HOSTS, "ALLOWED_HOSTS is missing"),
        ("*" in ALLOWED_HOSTS, "ALLOWED_HOSTS must name the hosts, not *"),
        (not BASE_URL, "BASE_URL is missing"),
        (
            bool(BASE_URL) and not IS_HTTPS and base.hostname not in LOOPBACK_HOSTS,
            "BASE_URL must begin with https:// (http is accepted for this machine only)",
        ),
        (DEBUG, "DEBUG is on"),
        (bool(FAILPOINT), "FAILPOINT is set; it belongs in tests"),
    ]
    found = [problem for is_wrong, problem in problems if is_wrong]
    if found:
        raise ImproperlyConfigured(
            "unsafe in production: " + "; ".join(found) + ". See docs/configuration.md"
        )


def _kept_secret(file: Path) -> str:
    # Two processes may start at once: only one creates the file, both then read the same key.
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as key_file:
            key_file.write(secrets.token_urlsafe(64))
    return file.read_text(encoding="ascii")


if not SECRET_KEY:
    SECRET_KEY = _kept_secret(VAR_DIR / "secret-key")

# The provider. Without address and key nothing can be fetched or sent.
NYLAS_API_URI = environment.text("NYLAS_API_URI").rstrip("/")
NYLAS_API_KEY = environment.secret("NYLAS_API_KEY")
# The webhook secret's file is read at each use, so that a rotation needs no restart.
NYLAS_WEBHOOK_SECRET = environment.text("NYLAS_WEBHOOK_SECRET")
NYLAS_WEBHOOK_SECRET_FILE = environment.text("NYLAS_WEBHOOK_SECRET_FILE")
if NYLAS_WEBHOOK_SECRET and NYLAS_WEBHOOK_SECRET_FILE:
    raise ImproperlyConfigured(
        "NYLAS_WEBHOOK_SECRET and NYLAS_WEBHOOK_SECRET_FILE are both set; keep one of them"
    )
provider = urlsplit(NYLAS_API_URI)
if NYLAS_API_URI and (provider.scheme not in ("http", "https") or not provider.hostname):
    raise ImproperlyConfigured("NYLAS_API_URI must look like https://api.us.nylas.com")
if NYLAS_API_URI and provider.scheme == "http" and provider.hostname not in LOOPBACK_HOSTS and PRODUCTION:
    raise ImproperlyConfigured("NYLAS_API_URI must begin with https:// in production")

# Whether the owner of an agent's token may approve what that agent writes.
OWNERS_MAY_APPROVE = environment.flag("OWNERS_MAY_APPROVE", False)

# From so many waiting drafts on the queue counts as more than people can clear.
QUEUE_FULL_DRAFTS = environment.whole_number("QUEUE_FULL_DRAFTS", 50, at_least=1, at_most=10_000)

# How long a person's claim on a draft stands after they last did something about it.
CLAIM_SECONDS = environment.whole_number("CLAIM_SECONDS", 300, at_least=30, at_most=3600)

# Pictures that a mail names elsewhere tell its sender that it was opened: never loaded, or when a person asks.
REMOTE_IMAGES = environment.one_of("REMOTE_IMAGES", "on_demand", ("off", "on_demand"))

# What the desk tells people and their programs. Without EMAIL_HOST nothing is mailed to anybody.
# Only a desk that nobody relies on may post to the machine it runs on.
NOTIFICATIONS_TO_LOOPBACK = environment.flag("NOTIFICATIONS_TO_LOOPBACK", DEBUG)
if NOTIFICATIONS_TO_LOOPBACK and PRODUCTION:
    raise ImproperlyConfigured("NOTIFICATIONS_TO_LOOPBACK is for development only")
EMAIL_HOST = environment.text("EMAIL_HOST")
EMAIL_PORT = environment.whole_number("EMAIL_PORT", 25, at_least=1, at_most=65535)
EMAIL_HOST_USER = environment.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = environment.secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = environment.flag("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM", "countersign@localhost")

# Where Slack takes the cards of a bot.
SLACK_API_URL = environment.text("SLACK_API_URL", "https://slack.com/api").rstrip("/")

# SMTP submission, `manage.py smtp`. Off this machine tokens travel inside TLS only, unless a setting says so.
SMTP_HOST = environment.text("SMTP_HOST", "127.0.0.1")
SMTP_PORT = environment.whole_number("SMTP_PORT", 2587, at_least=1, at_most=65535)
SMTP_CERT_FILE = environment.text("SMTP_CERT_FILE")
SMTP_KEY_FILE = environment.text("SMTP_KEY_FILE")
SMTP_PLAIN_AUTH = environment.flag("SMTP_PLAIN_AUTH", False)
if bool(SMTP_CERT_FILE) != bool(SMTP_KEY_FILE):
    raise ImproperlyConfigured("SMTP_CERT_FILE and SMTP_KEY_FILE belong together; one of them is missing")

SEND_CONNECT_SECONDS = environment.seconds("SEND_CONNECT_SECONDS", 5, at_least=0.1, at_most=60)
SEND_READ_SECONDS = environment.seconds("SEND_READ_SECONDS", 120, at_least=0.1, at_most=600)
SEND_FENCE_SECONDS = environment.seconds("SEND_FENCE_SECONDS", 240, at_least=1, at_most=3600)
if SEND_CONNECT_SECONDS + SEND_READ_SECONDS >= SEND_FENCE_SECONDS:
    raise ImproperlyConfigured(
        "SEND_FENCE_SECONDS must be more than SEND_CONNECT_SECONDS and SEND_READ_SECONDS together: "
        "a send may not be called abandoned while its reply can still come"
    )
SENDS_PER_SECOND = environment.seconds("SENDS_PER_SECOND", 5, at_least=0, at_most=1000)
LOOKUP_SECONDS = environment.rising_seconds("LOOKUP_SECONDS", "30,120,600,1800,7200,43200")
SWEEP_SECONDS = environment.seconds("SWEEP_SECONDS", 5, at_least=0.1, at_most=300)
POLL_SECONDS = environment.seconds("POLL_SECONDS", 30, at_least=0.5, at_most=3600)
APPROVAL_FRESHNESS_SECONDS = environment.seconds("APPROVAL_FRESHNESS_SECONDS", 5, at_least=0.1, at_most=60)
SWITCH_DRAIN_SECONDS = environment.seconds("SWITCH_DRAIN_SECONDS", 5, at_least=0, at_most=600)

INSTALLED_APPS = [
    "config",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "template_partials",
    "audit",
    "agentmail",
    "policies",
    "approvals",
    "gateway",
]
MIDDLEWARE = [
    "config.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.NoStore",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Behind the one that states the length of an answer.
    "config.middleware.NoBlankPage",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.SessionLimits",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# SQLite is for one machine; everything else here holds for both databases.
if DATABASE_URL:
    try:
        database: dict[str, Any] = dict(dj_database_url.parse(DATABASE_URL))
    except ValueError as error:
        # The address holds a password: it is never part of the message.
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be understood; expected postgres:// or sqlite:///"
        ) from error
else:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "countersign.sqlite3")}
if database["ENGINE"] == "django.db.backends.sqlite3":
    database |= {
        "CONN_MAX_AGE": 600,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # FULL, not NORMAL: a claim that is committed must survive a power cut (docs/decisions).
            # Checkpoints are rare, because SQLite before 3.51.3 can damage the file when two of them meet a writer
            # (https://www.sqlite.org/wal.html#walresetbug).
            "init_command": (
                "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"
                "PRAGMA wal_autocheckpoint=8000;"
            ),
        },
        # A file, because the tests start several processes that share it.
        "TEST": {"NAME": str(VAR_DIR / "test.sqlite3")},
    }
elif database["ENGINE"] == "django.db.backends.postgresql":
    # No pool and no transaction pooler: the send locks are session advisory locks.
    database |= {
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **database.get("OPTIONS", {}),
            "connect_timeout": 5,
            "application_name": "countersign",
            "pool": False,
        },
    }
else:
    raise ImproperlyConfigured("DATABASE_URL must begin with postgres:// or sqlite:///")
DATABASES = {"default": database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = environment.secret("REDIS_URL")
if REDIS_URL and urlsplit(REDIS_URL).scheme not in ("redis", "rediss", "unix"):
    raise ImproperlyConfigured("REDIS_URL must begin with redis:// or rediss://")
REDIS_PREFIX = environment.text("REDIS_PREFIX", "countersign")
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": REDIS_PREFIX,
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# The row is the queue; a message is a nudge. So messages may be lost, doubled or late, and old ones expire.
SPOOL_DIR = environment.path("SPOOL_DIR", VAR_DIR / "spool")
CELERY_BROKER_URL = REDIS_URL or "spool://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "visibility_timeout": int(SEND_FENCE_SECONDS) + 60,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "global_keyprefix": f"{REDIS_PREFIX}:",
    }
    if REDIS_URL
    else {"data_folder": str(SPOOL_DIR), "polling_interval": 0.1}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = environment.whole_number("WORKER_THREADS", 4, at_least=1, at_most=64)
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# What is posted to other people's addresses waits for them, so it has a queue and a process of its own: no send waits
# behind it. A worker takes both unless it is told which; the one for webhooks needs no key of the provider.
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in ("celery", "webhooks")]
CELERY_TASK_ROUTES = {
    "gateway.tasks.*": {"queue": "webhooks"},
    "approvals.tasks.deliver_notifications": {"queue": "webhooks"},
    "approvals.tasks.sweep_notices": {"queue": "webhooks"},
    "approvals.tasks.mail_notices": {"queue": "webhooks"},
    "approvals.tasks.put_up_cards": {"queue": "webhooks"},
    "approvals.tasks.forget_notices": {"queue": "webhooks"},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "approvals.tasks.sweep",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS * 2},
    },
    "poll-mailboxes": {
        "task": "approvals.tasks.poll_mailboxes",
        "schedule": POLL_SECONDS,
        "options": {"expires": POLL_SECONDS * 2},
    },
    "reconcile-unknown": {
        "task": "approvals.tasks.reconcile_unknown",
        "schedule": 15.0,
        "options": {"expires": 30.0},
    },
    "housekeeping": {
        "task": "approvals.tasks.housekeeping",
        "schedule": 60.0,
        "options": {"expires": 120.0},
    },
    "sweep-notices": {
        "task": "approvals.tasks.sweep_notices",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS * 2},
    },
    "forget-notices": {
        "task": "approvals.tasks.forget_notices",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "sweep-webhooks": {
        "task": "gateway.tasks.sweep_webhooks",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS * 2},
    },
    "forget-webhooks": {
        "task": "gateway.tasks.forget_webhooks",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
}
CELERY_TIMEZONE = "UTC"

# People sign in with a user name; accounts are made by an admin or by `create_user`, never by signing up.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "config.accounts.ClosedAccounts"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_PRESERVE_USERNAME_CASING = False
ACCOUNT_REAUTHENTICATION_REQUIRED = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "60/15m/ip,5/15m/key",
    "change_password": "5/m/user",
    "reauthenticate": "5/5m/user",
}
# How many proxies of ours stand in front; 0 means that the peer of the connection is the client.
TRUSTED_PROXY_COUNT = environment.whole_number("TRUSTED_PROXY_COUNT", 0, at_least=0, at_most=10)
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT

SESSION_IDLE_SECONDS = environment.whole_number("SESSION_IDLE_SECONDS", 1800, at_least=60, at_most=86400)
SESSION_ABSOLUTE_SECONDS = environment.whole_number(
    "SESSION_ABSOLUTE_SECONDS", 43200, at_least=300, at_most=604800
)
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = SESSION_ABSOLUTE_SECONDS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = IS_HTTPS
# Browsers accept the __Host- prefix only on Secure cookies, hence only behind https.
SESSION_COOKIE_NAME = "__Host-countersign" if IS_HTTPS else "countersign"
CSRF_COOKIE_NAME = "__Host-countersign-csrf" if IS_HTTPS else "countersign-csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"
LANGUAGE_COOKIE_SECURE = IS_HTTPS
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31536000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = environment.flag("HSTS_INCLUDE_SUBDOMAINS", False)
# Preloading, and covering subdomains, are for the owner of the domain to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
# Larger than any form of ours; the webhook view keeps its own, larger limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = environment.text("TIME_ZONE", "UTC")

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = environment.path("STATIC_ROOT", VAR_DIR / "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# The manifest storage raises for every page until `collectstatic` has run: only production promises that.
STATIC_MANIFEST = environment.flag("STATIC_MANIFEST", PRODUCTION)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False
MEDIA_ROOT = VAR_DIR / "media"

METRICS_TOKEN = environment.secret("METRICS_TOKEN")

LOG_LEVEL = environment.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = environment.one_of("LOG_FORMAT", "json" if PRODUCTION else "line", ("json", "line"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "config.logs.JsonFormatter"},
        "line": {"()": "config.logs.LineFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        # Its message repeats whatever host somebody sent; the answer is 400 and the request is in the log.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # These write addresses of people or bodies of requests at lower levels.
        "urllib3": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "mail.log": {"level": "ERROR"},
    },
}
