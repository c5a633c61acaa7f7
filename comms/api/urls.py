"""The API's addresses of this app, those below incidents included."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from comms.api import views

router = SimpleRouter(use_regex_path=False)
router.register("contacts", views.ContactViewSet)
router.register("incidents/<str:ref>/messages", views.IncidentMessageViewSet, "incident-message")
router.register("messages", views.MessageViewSet, "message")

urlpatterns = [path("", include(router.urls))]
