"""Every address; nested routes belong to the app on the right."""

from django.urls import path
urlpatterns = []
