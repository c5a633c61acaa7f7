"""The rollbacks app: something is done about it."""

from django.apps import AppConfig


class RollbacksConfig(AppConfig):
    name = "rollbacks"
