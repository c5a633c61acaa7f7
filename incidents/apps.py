"""The incidents app: something arrives."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "incidents"
