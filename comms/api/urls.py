"""The API's addresses of this app, those below incidents included."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from comms.api import views, webhook_views

router = SimpleRouter(use_regex_path=False)
router.register("contacts", views.ContactViewSet)
router.register("channels", views.ChannelViewSet, "channel")
router.register("incidents/<str:ref>/messages", views.IncidentMessageViewSet, "incident-message")
router.register("webhooks", webhook_views.WebhookViewSet, "webhook")
router.register("webhooks/<int:pk>/deliveries", webhook_views.WebhookDeliveryViewSet, "webhook-delivery")
router.register("messages", views.MessageViewSet, "message")

urlpatterns = [
    path("contacts.csv", views.ContactSheetViewSet.as_view({"get": "give_out"}), name="contact-sheet"),
    path("contacts/import/", views.ContactSheetViewSet.as_view({"post": "take_in"}), name="contact-import"),
    path(
        "incidents/<str:ref>/roles/<str:role>/page/",
        views.RolePageViewSet.as_view({"post": "page_for"}),
        name="role-page",
    ),
    path("", include(router.urls)),
]
