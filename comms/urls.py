"""Addresses of this app's pages."""

from django.urls import path

from comms.views import channels, pages

app_name = "comms"
urlpatterns = [
    path("contacts/", pages.contacts, name="contacts"),
    path("channels/", channels.channels, name="channels"),
    path("channels/<slug:key>/test/", channels.TryChannel.as_view(), name="test_channel"),
    path(
        "channels/connections/<slug:name>/set/", channels.SetUpConnection.as_view(), name="set_up_connection"
    ),
    path(
        "channels/connections/<slug:name>/remove/",
        channels.RemoveConnection.as_view(),
        name="remove_connection",
    ),
]
