"""Addresses of this app's pages."""

from django.urls import path

from comms.publishing.files import NAMES
from comms.views import messages, pages, status

app_name = "comms"
urlpatterns = [
    path("contacts/", pages.contacts, name="contacts"),
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
