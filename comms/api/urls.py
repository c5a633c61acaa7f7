"""The API's addresses of this app."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from comms.api import views

router = SimpleRouter(use_regex_path=False)
router.register("contacts", views.ContactViewSet)

urlpatterns = [path("", include(router.urls))]
