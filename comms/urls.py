"""Addresses of this app's pages."""

from django.urls import path

from comms.views import acknowledge, channels, pages

app_name = "comms"
urlpatterns = [
    path("contacts/", pages.contacts, name="contacts"),
    path("a/<str:token>/", acknowledge.acknowledge, name="acknowledge"),  # short: it stands in SMS
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
