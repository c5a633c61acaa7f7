"""Addresses of this app's pages."""

from django.urls import path

from comms.publishing.files import NAMES
from comms.views import acknowledge, channels, messages, pages, paging, status, webhooks

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
    path("incidents/<slug:ref>/roles/<slug:role>/page/", paging.PageForRole.as_view(), name="page_for_role"),
    # --- messages
    path("incidents/<slug:ref>/messages/new/", messages.Compose.as_view(), name="compose"),
    path("messages/", messages.messages, name="messages"),
    path("messages/<int:message>/", messages.message_page, name="message"),
    path("messages/<int:message>/edit/", messages.EditMessage.as_view(), name="edit_message"),
    path("messages/<int:message>/approve/", messages.ApproveMessage.as_view(), name="approve_message"),
    path("messages/<int:message>/discard/", messages.DiscardMessage.as_view(), name="discard_message"),
    path(
        "messages/<int:message>/deliveries/<int:delivery>/retry/",
        messages.RetryDelivery.as_view(),
        name="retry_delivery",
    ),
    path("components/", messages.components, name="components"),
    path("components/<slug:public_id>/state/", messages.SetComponent.as_view(), name="set_component"),
    # --- for everybody
    path("status/", status.file_view("index.html"), name="status"),
    *(path(f"status/{name}", status.file_view(name)) for name in NAMES if name != "index.html"),
    path("status/history/", status.history, name="status_history"),
    path("status/subscribe/", status.subscribe, name="subscribe"),
    path("status/confirm/<str:token>/", status.confirm, name="confirm_subscription"),
    path("status/unsubscribe/<str:token>/", status.unsubscribe, name="unsubscribe"),
]
