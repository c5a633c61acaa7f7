"""What the processes write to their logs: LOG_FORMAT=json for machines, else a line for people."""

import logging

from config.settings.base import env
from core import logs

LOG_FORMAT = env.str("LOG_FORMAT", default="line")  # read by core.logs, which Granian shares
_FOR_MACHINES = LOG_FORMAT == "json"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"entry": {"()": "core.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "entry"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.security.DisallowedHost": {"level": "ERROR"},
        # The request's own line says it already, with its id.
        "django.request": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "django_structlog.celery": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
    },
}
logs.configure()

# A line per request for machines; people see those that were refused or failed.
DJANGO_STRUCTLOG_STATUS_DEFAULT_LOG_LEVEL = logging.INFO if _FOR_MACHINES else logging.DEBUG
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # the proxy's log has addresses; here they are personal data
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # when sane, see core.logs
DJANGO_STRUCTLOG_CELERY_ENABLED = True  # a task's lines carry the id of the request that woke it
