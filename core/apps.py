"""The core app: the foundation without a domain noun."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core import checks  # noqa: F401, PLC0415 - registers itself once the app is ready
        from core.accounts import checks as access_checks  # noqa: F401, PLC0415 - so does this
