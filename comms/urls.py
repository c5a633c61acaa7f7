"""Addresses of this app's pages."""

from django.urls import path

from comms.views import acknowledge, channels, pages, webhooks

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
    path("webhooks/", webhooks.webhooks, name="webhooks"),
    path("webhooks/new/", webhooks.NewWebhook.as_view(), name="new_webhook"),
    path("webhooks/<int:pk>/", webhooks.webhook, name="webhook"),
    path("webhooks/<int:pk>/edit/", webhooks.EditWebhook.as_view(), name="edit_webhook"),
    path("webhooks/<int:pk>/enable/", webhooks.EnableWebhook.as_view(), name="enable_webhook"),
    path("webhooks/<int:pk>/disable/", webhooks.DisableWebhook.as_view(), name="disable_webhook"),
    path("webhooks/<int:pk>/remove/", webhooks.RemoveWebhook.as_view(), name="remove_webhook"),
    path("webhooks/<int:pk>/secret/", webhooks.RotateSecret.as_view(), name="rotate_webhook_secret"),
    path("webhooks/<int:pk>/test/", webhooks.SendTest.as_view(), name="test_webhook"),
    path("webhooks/<int:pk>/replay/", webhooks.ReplayEvents.as_view(), name="replay_webhook"),
    path("webhooks/<int:pk>/again/", webhooks.ReplayDelivery.as_view(), name="replay_webhook_delivery"),
]
