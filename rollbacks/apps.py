"""The rollbacks app: something is done about it."""

from django.apps import AppConfig


class RollbacksConfig(AppConfig):
    name = "rollbacks"

    def ready(self) -> None:
        from rollbacks import checks  # noqa: F401, PLC0415 - registers itself once the app is ready
