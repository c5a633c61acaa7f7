"""The ground of the settings: places, applications, data, background work, outbound mail, pages.

Read from the environment; what has no variable is not meant to be changed.
"""

import os
import socket
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from core.addresses import read_address
from core.embedded import postgres, valkey

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parents[2]

# --- where things are ---------------------------------------------------------------------------
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()
PLAYBOOK_DIR = Path(env.str("PLAYBOOK_DIR", default=str(BASE_DIR / "playbook"))).resolve()
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
# Where the public reads the status page: a host of its own that serves the snapshot, or this installation.
STATUS_PAGE_URL = env.str("STATUS_PAGE_URL", default=f"{PUBLIC_URL}/status/").rstrip("/") + "/"
# Where the page is written as files, for a web server that reads them with everything else down.
STATUS_PAGE_DIR = Path(env.str("STATUS_PAGE_DIR", default=str(VAR_DIR))).resolve()
# Which queues' rollbacks this process runs (a procedure names its queue); empty: of none.
RUNNER_QUEUES = env.list("RUNNER_QUEUES", default=["default"])
HOST_NAME = env.str("FIREBREAK_HOST", default=socket.gethostname())

# --- applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "core",
    "incidents",
    "rollbacks",
    "comms",
    "demo",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "csp",
    "django_filters",
    "django_htmx",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "heroicons",
    "pghistory",
    "pgtrigger",
    "rest_framework",
    "template_partials",
]
MIDDLEWARE = [
    # First what every answer carries, so that refusals further down have it too.
    "core.middleware.AnswerHeadersMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.ProbesMiddleware",  # before hosts, TLS and sign-in: a probe has none of them
    "core.operation.requests.MeasureMiddleware",
    "core.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.middleware.CompressMiddleware",
    "core.static_files.StaticFilesMiddleware",
    "core.middleware.TlsForProgramsMiddleware",
    "core.middleware.CleanInputMiddleware",
    "core.middleware.SchemaMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.middleware.HistoryMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # deny by default
    "core.accounts.middleware.EnrolmentMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
# Requests at once in one web process; each of its threads keeps one database connection.
WEB_THREADS = env.int("WEB_THREADS", default=16)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
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
                "core.views.context.page",
            ],
            "builtins": [
                "core.templatetags.page",  # icons among them
                "template_partials.templatetags.partials",
            ],
        },
    }
]

# --- data ---------------------------------------------------------------------------------------
# Two roles: the application's own may only append to the timeline; the owner migrates.
# `migrate` uses the alias "owner" by itself (see core/management/commands/migrate.py).
_APP_URL = env.str("DATABASE_URL", default="") or postgres.url(VAR_DIR)
_OWNER_URL = env.str("DATABASE_OWNER_URL", default="") or (
    _APP_URL if env.str("DATABASE_URL", default="") else postgres.url(VAR_DIR, role="firebreak_owner")
)
_CONNECTION = {
    "CONN_MAX_AGE": 600,  # a2wsgi and Celery reuse their threads, so connections persist
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
}
DATABASES = {
    "default": read_address("DATABASE_URL", _APP_URL, env.db_url_config) | _CONNECTION,
    "owner": (
        read_address("DATABASE_OWNER_URL", _OWNER_URL, env.db_url_config)
        | _CONNECTION
        | {"TEST": {"MIRROR": "default"}}
    ),
}
for _database in DATABASES.values():
    _database["OPTIONS"] = _database.get("OPTIONS", {}) | {
        "connect_timeout": 5,
        # A database that vanished without a word is noticed within half a minute (TCP only).
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "application_name": f"firebreak {Path(sys.argv[0]).name}"[:63],
        "options": "-c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s",
    }
CACHES = {
    # In PostgreSQL: with a dead Redis, sign-in limits and throttles still work.
    # Many entries: a cull would forget attempts that were counted.
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "core_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- background work: messages are hints, rows are the truth -------------------------------------
CELERY_BROKER_URL = read_address(
    "CELERY_BROKER_URL or REDIS_URL",
    env.str("CELERY_BROKER_URL", default="") or env.str("REDIS_URL", default="") or valkey.url(VAR_DIR),
    valkey.broker_url_from,
)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_PUBLISH_RETRY = False
# A frozen broker takes connections and never answers: without these, a request would hang for ever.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "checks"
CELERY_BEAT_SCHEDULER = "core.operation.beat:Scheduler"
CELERY_TASK_ROUTES = {
    "comms.*": {"queue": "comms"},
    "core.*": {"queue": "comms"},
    # A runner may be busy for long, or absent: noticing that is for others.
    "rollbacks.sweep_*": {"queue": "checks"},
    "rollbacks.*": {"queue": "runner.default"},
}
# A frozen broker must not hold a request: see core.hints, which gives up after these timeouts.
HINT_TIMEOUT_SECONDS = 1.0

# --- outbound -----------------------------------------------------------------------------------
# Networks that checks and webhooks may reach although they are private. The demo sets loopback.
OUTBOUND_ALLOWED_NETWORKS = env.list("OUTBOUND_ALLOWED_NETWORKS", default=[])
# Authorities of your own (PEM) that checks and webhooks trust besides the public ones.
OUTBOUND_CA_FILE = env.str("OUTBOUND_CA_FILE", default="")
if OUTBOUND_CA_FILE and not Path(OUTBOUND_CA_FILE).is_file():
    raise ImproperlyConfigured(f"OUTBOUND_CA_FILE: there is no file {OUTBOUND_CA_FILE}.")
# Where Slack and Twilio are reached: a setting of the process alone, for a region or an instance of one's
# own. Whoever may set up a connection on a page cannot send its token elsewhere.
SLACK_API_URL = env.str("SLACK_API_URL", default="https://slack.com/api/")
TWILIO_API_URL = env.str("TWILIO_API_URL", default="https://api.twilio.com")
# Until EMAIL_URL is set, e-mails are files, one each.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR_DIR / "mail"
EMAIL_TIMEOUT = 10
if EMAIL_URL := env.str("EMAIL_URL", default=""):
    vars().update(read_address("EMAIL_URL", EMAIL_URL, env.email_url_config))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Firebreak <firebreak@localhost>")

# --- pages --------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False  # every text is English: looking up the language of each cost a page a tenth of its time
USE_TZ = True
STATIC_URL = "static/"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no cookie of its own
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# False in production: `collectstatic` has gathered everything under names that carry their content's hash.
STATIC_FROM_SOURCE = env.bool("STATIC_FROM_SOURCE", default=True)
SERVESTATIC_USE_FINDERS = STATIC_FROM_SOURCE
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if STATIC_FROM_SOURCE
        else "servestatic.storage.CompressedManifestStaticFilesStorage"
    },
}
SERVESTATIC_AUTOREFRESH = False

os.environ.setdefault("DJANGO_RUNSERVER_HIDE_WARNING", "true")
