"""Addresses of the foundation's own pages."""

from django.urls import path

from core.views import changes

app_name = "core"
urlpatterns = [path("changes/", changes.changes, name="changes")]
