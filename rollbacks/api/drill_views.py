"""Addresses of drills and of readiness."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet, command
from core.clock import utcnow
from rollbacks.api import drill_serializers as shapes
from rollbacks.api.filters import DrillListFilters, ReadinessFilters
from rollbacks.models import Drill
from rollbacks.selectors.drills import drill_records, get_drill, list_scenarios
from rollbacks.selectors.readiness import BoardAsk, readiness_board
from rollbacks.services import drill_planning, drill_running
from rollbacks.states import LastRehearsal


class DrillViewSet(ApiViewSet):
    """Drills: rollbacks practised on an incident that is none."""

    queryset = Drill.objects.none()
    serializer_class = shapes.DrillSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = DrillListFilters

    def list(self, request: Request) -> Response:
        """Drills, newest first."""
        return self.page(drill_records(self.actor), shapes.DrillSerializer)

    @extend_schema(request=shapes.PlanDrillSerializer, responses={201: shapes.OneDrillSerializer})
    def create(self, request: Request) -> Response:
        """Plan a drill; its participants are invited."""
        body = {"starts_at": None, **self.body(shapes.PlanDrillSerializer)}
        drill = drill_planning.plan_drill(**body, **self.by())
        return self._shown(drill.pk, status=201)

    @extend_schema(responses=shapes.OneDrillSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One drill, with its scorecard also while it runs."""
        return self._shown(pk)

    @command(takes=EmptySerializer, answers=shapes.OneDrillSerializer)
    def start(self, request: Request, pk: int) -> Response:
        """Begin it now; one that runs is as it was."""
        self.body(EmptySerializer)
        drill_running.start_drill(drill_id=pk, **self.by())
        return self._shown(pk)

    @command(takes=shapes.CancelDrillSerializer, answers=shapes.OneDrillSerializer)
    def cancel(self, request: Request, pk: int) -> Response:
        """It is not held, or broken off without a scorecard."""
        drill_running.cancel_drill(drill_id=pk, **self.body(shapes.CancelDrillSerializer), **self.by())
        return self._shown(pk)

    @command(takes=shapes.FinishDrillSerializer, answers=shapes.OneDrillSerializer)
    def finish(self, request: Request, pk: int) -> Response:
        """End it and keep its scorecard."""
        drill_running.finish_drill(drill_id=pk, **self.body(shapes.FinishDrillSerializer), **self.by())
        return self._shown(pk)

    @command(takes=shapes.DebriefSerializer, answers=shapes.OneDrillSerializer)
    def debrief(self, request: Request, pk: int) -> Response:
        """Write down what was learned, after its end."""
        drill_running.write_debrief(drill_id=pk, **self.body(shapes.DebriefSerializer), **self.by())
        return self._shown(pk)

    def _shown(self, pk: int, *, status: int = 200) -> Response:
        return Response(shapes.OneDrillSerializer(get_drill(self.actor, pk)).data, status=status)


class ScenarioViewSet(ApiViewSet):
    """What can be practised."""

    serializer_class = shapes.ScenarioSerializer
    scopes = {"GET": "read"}

    def list(self, request: Request) -> Response:
        """Every scenario; the playbook is small, so there is one page."""
        return self.whole(shapes.ScenarioSerializer(list_scenarios(), many=True).data)


class ReadinessViewSet(ApiViewSet):
    """How ready services are to be rolled back."""

    queryset = Drill.objects.none()
    serializer_class = shapes.ReadinessSerializer
    scopes = {"GET": "read"}
    filters = ReadinessFilters

    def list(self, request: Request) -> Response:
        """Services with a procedure, the worst first: that order moves, so pages have numbers, no cursor."""
        asked = self.parameters()
        last = LastRehearsal(asked["last"]) if "last" in asked else None
        ask = BoardAsk(last, asked.get("overdue"), asked.get("service", ""))
        size, number = self.page_size(), asked["page"]
        board = readiness_board(self.actor, now=utcnow(), ask=ask, number=number, size=size)
        lines = shapes.ReadinessSerializer(board.lines, many=True).data
        return self.numbered(lines, number, has_more=board.has_more)
