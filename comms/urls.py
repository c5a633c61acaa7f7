"""Addresses of this app's pages."""

from django.urls import path

from comms.views import pages

app_name = "comms"
urlpatterns = [path("contacts/", pages.contacts, name="contacts")]
