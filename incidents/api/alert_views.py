"""Addresses of alerts, silences and maintenance windows."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet, command
from incidents.api import alert_serializers as shapes
from incidents.api.filters import AlertFilters, QuietFilters
from incidents.models import Alert, MaintenanceWindow, Silence
from incidents.selectors.alerts import alert_records, get_alert, get_sent_alert
from incidents.selectors.quiet import get_silence, get_window
from incidents.services import alerts, quiet


class AlertViewSet(ApiViewSet):
    """Alerts of other systems."""

    queryset = Alert.objects.none()
    serializer_class = shapes.AlertSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = AlertFilters

    def list(self, request: Request) -> Response:
        """Alerts, newest first."""
        return self.page(alert_records(self.actor), shapes.AlertSerializer)

    @extend_schema(request=shapes.ReportAlertSerializer, responses={201: shapes.AlertSerializer})
    def create(self, request: Request) -> Response:
        """Report an alert by hand or from a script; the same one again counts as a repeat."""
        alert = alerts.report_alert(**self.body(shapes.ReportAlertSerializer), **self.by())
        return Response(shapes.AlertSerializer(get_sent_alert(alert.pk, self.actor)).data, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One alert."""
        return Response(shapes.AlertSerializer(get_alert(pk, self.actor)).data)


class SilenceViewSet(ApiViewSet):
    """Silences: alerts that open nothing for a while."""

    queryset = Silence.objects.none()
    serializer_class = shapes.SilenceSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = QuietFilters

    def list(self, request: Request) -> Response:
        """Silences, newest first."""
        return self.page(Silence.objects.all(), shapes.SilenceSerializer)

    @extend_schema(request=shapes.CreateSilenceSerializer, responses={201: shapes.SilenceSerializer})
    def create(self, request: Request) -> Response:
        """Silence the alerts that fit every matcher."""
        silence = quiet.create_silence(**self.body(shapes.CreateSilenceSerializer), **self.by())
        return Response(shapes.SilenceSerializer(silence).data, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One silence."""
        return Response(shapes.SilenceSerializer(get_silence(pk)).data)

    @command(takes=EmptySerializer, answers=shapes.SilenceSerializer)
    def end(self, request: Request, pk: int) -> Response:
        """End it now: what it held back and still fires is taken up."""
        self.body(EmptySerializer)
        return Response(shapes.SilenceSerializer(quiet.end_silence(silence_id=pk, **self.by())).data)


class WindowViewSet(ApiViewSet):
    """Maintenance windows: work on services during which nothing is opened for them."""

    queryset = MaintenanceWindow.objects.none()
    serializer_class = shapes.WindowSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = QuietFilters

    def list(self, request: Request) -> Response:
        """Maintenance windows, newest first."""
        return self.page(MaintenanceWindow.objects.prefetch_related("services"), shapes.WindowSerializer)

    @extend_schema(request=shapes.CreateWindowSerializer, responses={201: shapes.WindowSerializer})
    def create(self, request: Request) -> Response:
        """Plan maintenance of services."""
        window = quiet.create_window(**self.body(shapes.CreateWindowSerializer), **self.by())
        return Response(shapes.WindowSerializer(get_window(window.pk)).data, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One maintenance window."""
        return Response(shapes.WindowSerializer(get_window(pk)).data)

    @command(takes=EmptySerializer, answers=shapes.WindowSerializer)
    def end(self, request: Request, pk: int) -> Response:
        """End it now: what is still wrong is taken up."""
        self.body(EmptySerializer)
        quiet.end_window(window_id=pk, **self.by())
        return Response(shapes.WindowSerializer(get_window(pk)).data)
