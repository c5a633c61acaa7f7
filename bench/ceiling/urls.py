"""The addresses of the ceiling, spelled like the API's."""

from django.urls import path

from bench.ceiling import views

urlpatterns = [
    path("hello/", views.hello),
    path("api/v1/incidents/", views.Incidents.as_view()),
    path("api/v1/ingest/alertmanager/", views.Deliveries.as_view()),
    path("api/v1/incidents/<str:ref>/", views.Incident.as_view()),
]
