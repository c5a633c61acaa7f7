"""Addresses of reviews, of documents that are looked over, and of training."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet, command
from core.clock import utcnow
from incidents.api import review_serializers as shapes
from incidents.api.filters import DocumentFilters, MatrixFilters, ReviewFilters, TrainingFilters
from incidents.models import Document, Review, TrainingRecord
from incidents.selectors.documents import get_document, list_documents
from incidents.selectors.records import get_incident
from incidents.selectors.reviews import agenda_for, get_review, list_reviews, upcoming_reviews
from incidents.selectors.training import training_matrix, training_records
from incidents.services import documents, reviews, training


class ReviewViewSet(ApiViewSet):
    """Reviews of the process."""

    queryset = Review.objects.none()
    serializer_class = shapes.ReviewWithAgendaSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write"}
    filters = ReviewFilters
    versioned = True
    stands_still = False  # `overdue` comes by itself, and who may see an incident changes

    @extend_schema(responses=shapes.ReviewSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Reviews, newest first, without their agenda."""
        return self.page(list_reviews(self.actor).prefetch_related("attendees"), shapes.ReviewSerializer)

    @extend_schema(request=shapes.OpenReviewSerializer, responses={201: shapes.ReviewWithAgendaSerializer})
    def create(self, request: Request) -> Response:
        """Open one by hand; its agenda is filled with what is so now."""
        made = reviews.open_review(**self.body(shapes.OpenReviewSerializer), **self.by())
        return self._shown(made.pk, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One review with its agenda."""
        return self._shown(pk)

    @extend_schema(request=shapes.EditReviewSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Write it up, until it is signed off."""
        body = self.body(shapes.EditReviewSerializer)
        with self.unchanged(get_review(self.actor, pk)):
            reviews.edit_review(review_id=pk, **body, **self.by())
        return self._shown(pk)

    @command(takes=shapes.HoldReviewSerializer, answers=shapes.ReviewWithAgendaSerializer)
    def hold(self, request: Request, pk: int) -> Response:
        """It was held."""
        body = self.body(shapes.HoldReviewSerializer)
        with self.unchanged(get_review(self.actor, pk)):
            reviews.hold_review(review_id=pk, **body, **self.by())
        return self._shown(pk)

    @command(takes=EmptySerializer, answers=shapes.ReviewWithAgendaSerializer)
    def sign_off(self, request: Request, pk: int) -> Response:
        """It is complete, says another person than who held it; never a token."""
        self.body(EmptySerializer)
        with self.unchanged(get_review(self.actor, pk)):
            reviews.sign_off_review(review_id=pk, **self.by())
        return self._shown(pk)

    def _shown(self, pk: int, *, status: int = 200) -> Response:
        review = get_review(self.actor, pk)
        review.agenda = agenda_for(self.actor, review)
        return self.show(review, shapes.ReviewWithAgendaSerializer, status=status, moves=True)


class RetrospectiveViewSet(ApiViewSet):
    """The retrospective of one incident."""

    queryset = Review.objects.none()
    scopes = {"POST": "write"}

    @extend_schema(
        request=shapes.OpenRetrospectiveSerializer, responses={201: shapes.ReviewWithAgendaSerializer}
    )
    def create(self, request: Request, ref: str) -> Response:
        """Open it, once the incident is over; its agenda is filled from the report. 409: there is one."""
        body = self.body(shapes.OpenRetrospectiveSerializer)
        incident = get_incident(ref, self.actor)
        made = reviews.open_retrospective(incident_id=incident.pk, **body, **self.by())
        review = get_review(self.actor, made.pk)
        review.agenda = agenda_for(self.actor, review)
        return Response(shapes.ReviewWithAgendaSerializer(review).data, status=201)


class UpcomingReviewViewSet(ApiViewSet):
    """The next reviews by the calendar."""

    queryset = Review.objects.none()
    serializer_class = shapes.UpcomingReviewSerializer
    scopes = {"GET": "read"}

    def list(self, request: Request) -> Response:
        """The next review of each kind, the soonest first."""
        found = upcoming_reviews(now=utcnow())
        return self.whole(shapes.UpcomingReviewSerializer(found, many=True).data)


class DocumentViewSet(ApiViewSet):
    """Documents that are looked over now and then."""

    queryset = Document.objects.none()
    serializer_class = shapes.DocumentSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = DocumentFilters

    def list(self, request: Request) -> Response:
        """Documents of the playbook, newest first."""
        return self.page(list_documents(), shapes.DocumentSerializer)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One document."""
        return Response(shapes.DocumentSerializer(get_document(pk)).data)

    @command(takes=shapes.ReviewDocumentSerializer, answers=shapes.DocumentSerializer)
    def review(self, request: Request, pk: int) -> Response:
        """It was looked over."""
        body = self.body(shapes.ReviewDocumentSerializer)
        done = documents.review_document(document_id=pk, **body, **self.by())
        return Response(shapes.DocumentSerializer(done).data)


class TrainingViewSet(ApiViewSet):
    """Who has done which training."""

    queryset = TrainingRecord.objects.none()
    serializer_class = shapes.TrainingRecordSerializer
    scopes = {"GET": "read", "POST": "write"}
    filters = TrainingFilters

    def list(self, request: Request) -> Response:
        """Records, newest first."""
        return self.page(training_records(), shapes.TrainingRecordSerializer)

    @extend_schema(
        request=shapes.RecordTrainingSerializer,
        responses={201: shapes.TrainingRecordSerializer(many=True)},
    )
    def create(self, request: Request) -> Response:
        """Record that these people did a course together; answers their records."""
        made = training.record_training(**self.body(shapes.RecordTrainingSerializer), **self.by())
        return Response(shapes.TrainingRecordSerializer(made, many=True).data, status=201)


class TrainingMatrixViewSet(ApiViewSet):
    """People against courses."""

    queryset = TrainingRecord.objects.none()
    scopes = {"GET": "read"}
    filters = MatrixFilters
    filtered = ("retrieve",)

    @extend_schema(responses=shapes.TrainingMatrixSerializer, operation_id="training_matrix")
    def retrieve(self, request: Request) -> Response:
        """How everybody stands with every course; `page` counts pages of 100 people from 1."""
        matrix = training_matrix(now=utcnow())
        page = matrix.page(self.parameters()["page"])
        return Response(shapes.TrainingMatrixSerializer(shapes.matrix_json(matrix, page)).data)
