"""The demo app: a storefront to watch over, and the commands that set it up and break it."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "demo"
