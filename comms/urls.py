"""Addresses of this app's pages."""

from django.urls import path

from comms.views import acknowledge, pages

app_name = "comms"
urlpatterns = [
    path("contacts/", pages.contacts, name="contacts"),
    path("a/<str:token>/", acknowledge.acknowledge, name="acknowledge"),  # short: it stands in SMS
]
