"""The comms app: people are told."""

from django.apps import AppConfig


class CommsConfig(AppConfig):
    name = "comms"
