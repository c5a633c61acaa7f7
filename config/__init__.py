"""Settings, addresses and wiring: the app at the right end."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
