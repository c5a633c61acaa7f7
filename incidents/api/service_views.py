"""Addresses of services, their releases and health, of monitors and their samples."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.pagination import NewestFirst
from core.api.serializers import ReasonSerializer
from core.api.views import ApiViewSet
from incidents.api import service_serializers as shapes
from incidents.api.filters import (
    MonitorFilters,
    ReleaseFilters,
    RollupFilters,
    SampleFilters,
    ServiceFilters,
)
from incidents.facts import Reading
from incidents.models import Monitor, Release, Rollup, Sample, Service
from incidents.selectors.records import get_monitor, get_service, live_version
from incidents.services import measuring, monitors, services
from incidents.states import SampleOutcome


class LatestDeployedFirst(NewestFirst):
    """A release keeps its row when it is deployed again."""

    ordering = ("-deployed_at", "-id")


class LatestMeasuredFirst(NewestFirst):
    """As the index of samples has them."""

    ordering = ("-at", "-id")


class LatestBegunFirst(NewestFirst):
    """As the key of rollups has them."""

    ordering = ("-start",)


class ServiceViewSet(ApiViewSet):
    """Services."""

    queryset = Service.objects.none()
    serializer_class = shapes.ServiceSerializer
    lookup_field = "slug"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write"}
    filters = ServiceFilters
    versioned = True
    about_more_than_one = ("list", "health")

    def list(self, request: Request) -> Response:
        """Services, newest first."""
        return self.page(Service.objects.all(), shapes.ServiceSerializer)

    @extend_schema(request=shapes.CreateServiceSerializer, responses={201: shapes.ServiceSerializer})
    def create(self, request: Request) -> Response:
        """Start watching over a service."""
        service = services.create_service(**self.body(shapes.CreateServiceSerializer), **self.by())
        return self.show(service, shapes.ServiceSerializer, status=201)

    def retrieve(self, request: Request, slug: str) -> Response:
        """One service."""
        return self.show(get_service(slug), shapes.ServiceSerializer)

    @extend_schema(request=shapes.EditServiceSerializer)
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change what a service is."""
        service, changes = get_service(slug), self.body(shapes.EditServiceSerializer)
        with self.unchanged(service):
            service = services.edit_service(service_id=service.pk, changes=changes, **self.by())
        return self.show(service, shapes.ServiceSerializer)

    @extend_schema(responses=shapes.HealthSerializer)
    @action(detail=True)
    def health(self, request: Request, slug: str) -> Response:
        """How the service stands."""
        service = get_service(slug)
        health = {
            "service": service.slug,
            "live_version": live_version(service),
            "monitors": service.monitors.filter(enabled=True),
        }
        return Response(shapes.HealthSerializer(health).data)


class ReleaseViewSet(ApiViewSet):
    """The ledger of a service's releases."""

    queryset = Release.objects.none()
    serializer_class = shapes.ReleaseSerializer
    pagination_class = LatestDeployedFirst
    scopes = {"GET": "read", "POST": "write"}
    filters = ReleaseFilters

    def list(self, request: Request, slug: str) -> Response:
        """Releases, the latest deployed first."""
        return self.page(Release.objects.filter(service=get_service(slug)), shapes.ReleaseSerializer)

    @extend_schema(request=shapes.RecordReleaseSerializer, responses={201: shapes.ReleaseSerializer})
    def create(self, request: Request, slug: str) -> Response:
        """Record that a version was deployed: it is live now."""
        service = get_service(slug)
        body = self.body(shapes.RecordReleaseSerializer)
        release = services.record_release(service_id=service.pk, **body, **self.by())
        return Response(shapes.ReleaseSerializer(release).data, status=201)

    @extend_schema(request=ReasonSerializer)
    def quarantine(self, request: Request, slug: str, version: str) -> Response:
        """This version must not be returned to."""
        return self._change(services.quarantine_release, slug, version)

    @extend_schema(request=ReasonSerializer)
    def lift_quarantine(self, request: Request, slug: str, version: str) -> Response:
        """A person answers for it: the version is what it was before; never by token."""
        return self._change(services.lift_quarantine, slug, version)

    def _change(self, service: Callable[..., Release], slug: str, version: str) -> Response:
        found, body = get_service(slug), self.body(ReasonSerializer)
        release = service(service_id=found.pk, version=version, **body, **self.by())
        return Response(shapes.ReleaseSerializer(release).data)


class MonitorViewSet(ApiViewSet):
    """Monitors."""

    queryset = Monitor.objects.none()
    serializer_class = shapes.MonitorSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "write"}
    filters = MonitorFilters
    versioned = True
    stands_still = False

    def list(self, request: Request) -> Response:
        """Monitors, newest first."""
        return self.page(Monitor.objects.select_related("service"), shapes.MonitorSerializer)

    @extend_schema(request=shapes.CreateMonitorSerializer, responses={201: shapes.MonitorSerializer})
    def create(self, request: Request) -> Response:
        """Measure a metric of a service from now on."""
        monitor = monitors.create_monitor(**self.body(shapes.CreateMonitorSerializer), **self.by())
        return self.show(monitor, shapes.MonitorSerializer, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One monitor."""
        return self.show(get_monitor(pk), shapes.MonitorSerializer, moves=not self.stands_still)

    @extend_schema(request=shapes.EditMonitorSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change how a metric is measured and judged, or pause it."""
        monitor, changes = get_monitor(pk), self.body(shapes.EditMonitorSerializer)
        with self.unchanged(monitor):
            monitor = monitors.edit_monitor(monitor_id=monitor.pk, changes=changes, **self.by())
        return self.show(monitor, shapes.MonitorSerializer)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Measure it no more; its samples go with it."""
        monitor = get_monitor(pk)
        with self.unchanged(monitor):
            monitors.remove_monitor(monitor_id=monitor.pk, **self.by())
        return Response(status=204)


class SampleViewSet(ApiViewSet):
    """The measurements of a monitor."""

    queryset = Sample.objects.none()
    serializer_class = shapes.SampleSerializer
    pagination_class = LatestMeasuredFirst
    scopes = {"GET": "read", "POST": "ingest"}
    filters = SampleFilters

    def list(self, request: Request, pk: int) -> Response:
        """Samples, the latest first."""
        return self.page(Sample.objects.filter(monitor=get_monitor(pk)), shapes.SampleSerializer)

    @extend_schema(
        request=PolymorphicProxySerializer(
            "PushedSamples",
            [shapes.PushedSampleSerializer, shapes.PushedSampleSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={202: shapes.AcceptedSamplesSerializer},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Send in a measurement of a push monitor, or a list of up to 1,000 of the last hour.

        One that was sent before, with the same `at`, is not counted again.
        """
        monitor = get_monitor(pk)
        readings = [_reading(**sample) for sample in self.bodies(shapes.PushedSampleSerializer)]
        accepted = measuring.push_samples(monitor_id=monitor.pk, readings=readings, **self.by())
        return Response({"accepted": accepted}, status=202)


class RollupViewSet(ApiViewSet):
    """What remains of a monitor's measurements: a row for each five minutes."""

    queryset = Monitor.objects.none()  # whose the number in the address is
    serializer_class = shapes.RollupSerializer
    pagination_class = LatestBegunFirst
    scopes = {"GET": "read"}
    filters = RollupFilters

    def list(self, request: Request, pk: int) -> Response:
        """Rollups, the latest first; an hour has them 65 minutes after its end, samples until then."""
        return self.page(Rollup.objects.filter(monitor=get_monitor(pk)), shapes.RollupSerializer)


def _reading(value: float | None, at: dt.datetime | None = None, volume: float | None = None) -> Reading:
    return Reading(SampleOutcome.NO_DATA, at=at) if value is None else Reading.of(value, volume=volume, at=at)
