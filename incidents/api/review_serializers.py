"""Shapes of reviews, of documents that are looked over, and of training, in and out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Choice, Line, Moment, Text
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from incidents.models import Document, Review, TrainingRecord
from incidents.selectors.documents import STATES, document_state
from incidents.selectors.training import STATES as TRAINING_STATE_LABELS
from incidents.selectors.training import Matrix, Page
from incidents.services.documents import NOTE_LENGTH
from incidents.services.reviews import MOST_ATTENDEES, TEXT_LENGTH
from incidents.services.training import MOST_PEOPLE
from incidents.states import Cadence, DocumentOutcome, ReviewState

DOCUMENT_STATES = tuple(STATES.items())
TRAINING_STATES = tuple(TRAINING_STATE_LABELS.items())


class AgendaLineSerializer(serializers.Serializer[Any]):
    """One thing to look at. Of an incident that the reader may not see, `text` is its code name."""

    text = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    url = serializers.CharField(allow_blank=True)
    incident = serializers.CharField(allow_blank=True)
    tone = serializers.CharField(allow_blank=True)


class AgendaFigureSerializer(serializers.Serializer[Any]):
    """A figure of the period and of the one before; null where there was nothing to count."""

    name = serializers.CharField()
    unit = serializers.ChoiceField(choices=["count", "seconds", "ratio"])
    value = serializers.FloatField(allow_null=True)
    before = serializers.FloatField(allow_null=True)


class AgendaSectionSerializer(serializers.Serializer[Any]):
    """A section as it was when the review opened; `count` is how many there were, `lines` the first."""

    key = serializers.CharField()
    title = serializers.CharField()
    count = serializers.IntegerField()
    lines = AgendaLineSerializer(many=True)
    figures = AgendaFigureSerializer(many=True)


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A review without its agenda. `kind` and `period` are empty where it was opened by hand; `incident` is
    the one whose retrospective it is, else null.
    """

    incident = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=ReviewState.choices)
    overdue = serializers.SerializerMethodField()
    asked = serializers.ListField(child=serializers.CharField())
    attendees = serializers.SerializerMethodField()
    notes = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = Review
        fields: tuple[str, ...] = (
            "id", "kind", "period", "name", "incident", "state", "begins_at", "ends_at", "opened_at",
            "opened_by", "due_at", "overdue", "asked", "attendees", "notes", "decisions", "held_at",
            "held_by", "signed_off_at", "signed_off_by",
        )  # fmt: skip

    def get_incident(self, review: Review) -> str | None:
        return review.incident.ref if review.incident else None

    def get_overdue(self, review: Review) -> bool:
        return review.state == ReviewState.OPEN and review.due_at <= utcnow()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_attendees(self, review: Review) -> list[str]:
        return sorted(user.get_username() for user in review.attendees.all())


class ReviewWithAgendaSerializer(ReviewSerializer):
    """A review with its agenda."""

    agenda = AgendaSectionSerializer(many=True)

    class Meta(ReviewSerializer.Meta):
        fields = (*ReviewSerializer.Meta.fields, "agenda")


class OpenReviewSerializer(StrictSerializer):
    """A review by hand; without `sections` its agenda has all."""

    name = Line(max_length=120)
    begins_at = Moment()
    ends_at = Moment()
    due_at = Moment()
    sections = serializers.ListField(child=Line(max_length=60), required=False, max_length=60)


class OpenRetrospectiveSerializer(StrictSerializer):
    """Until when it is to be held; a week after the resolution without."""

    due_at = Moment(required=False)


class Notes(serializers.DictField):
    """Texts by section of the agenda."""

    child = Text(max_length=TEXT_LENGTH, allow_blank=True)


class EditReviewSerializer(StrictSerializer):
    """What shall be different; of `notes`, the sections given."""

    notes = Notes(required=False)
    decisions = Text(required=False, allow_blank=True, max_length=TEXT_LENGTH)
    attendees = serializers.ListField(child=Line(max_length=150), required=False, max_length=MOST_ATTENDEES)


class HoldReviewSerializer(EditReviewSerializer):
    """Who took part, and what came of it."""

    attendees = serializers.ListField(
        child=Line(max_length=150), allow_empty=False, max_length=MOST_ATTENDEES
    )


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A document that is looked over; `changed` says something else than when it was reviewed."""

    owner = serializers.CharField()
    state = serializers.SerializerMethodField()
    outcome = serializers.SerializerMethodField()

    class Meta:
        model = Document
        fields = (
            "id", "key", "name", "owner", "url", "state", "due_at", "reviewed_at", "reviewed_by", "outcome",
            "note", "digest", "reviewed_digest",
        )  # fmt: skip

    @extend_schema_field(serializers.ChoiceField(choices=DOCUMENT_STATES))
    def get_state(self, document: Document) -> str:
        return document_state(document, utcnow())

    @extend_schema_field(serializers.ChoiceField(choices=DocumentOutcome.choices, allow_null=True))
    def get_outcome(self, document: Document) -> str | None:
        return document.outcome or None


class ReviewDocumentSerializer(StrictSerializer):
    """What looking it over came to; `changed` needs a note."""

    outcome = Choice(choices=DocumentOutcome.choices)
    note = Text(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class UpcomingReviewSerializer(serializers.Serializer[Any]):
    """The next review of a kind by the calendar; `period` is the one it will have."""

    kind = serializers.CharField()
    name = serializers.CharField()
    purpose = serializers.CharField()
    cadence = serializers.ChoiceField(choices=Cadence.choices)
    period = serializers.CharField()
    opens_at = serializers.DateTimeField()
    asked = serializers.ListField(child=serializers.CharField())


class UpcomingReviewsSerializer(serializers.Serializer[Any]):
    """The soonest first."""

    results = UpcomingReviewSerializer(many=True)


class CourseSerializer(serializers.Serializer[Any]):
    """A course of the playbook. Without `roles` and `levels` it is for everybody."""

    key = serializers.CharField()
    name = serializers.CharField()
    covers = serializers.ListField(child=serializers.CharField())
    roles = serializers.ListField(child=serializers.CharField())
    levels = serializers.ListField(child=serializers.CharField())
    valid_for_seconds = serializers.IntegerField()
    counts = serializers.ListField(child=serializers.CharField())


class TrainingCellSerializer(serializers.Serializer[Any]):
    """How a person stands with a course: `extra` is not asked of them."""

    course = serializers.CharField()
    state = serializers.ChoiceField(choices=TRAINING_STATES)
    done_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)


class TrainingRowSerializer(serializers.Serializer[Any]):
    """A person, with a cell for each course."""

    user = serializers.CharField()
    courses = TrainingCellSerializer(many=True)


class TrainingMatrixSerializer(serializers.Serializer[Any]):
    """A page of those who may read, who has something to do first; `counts`: of everybody, how many cells are
    in each state.
    """

    courses = CourseSerializer(many=True)
    people = TrainingRowSerializer(many=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    has_more = serializers.BooleanField()


def matrix_json(matrix: Matrix, page: Page) -> dict[str, Any]:
    """What TrainingMatrixSerializer takes."""
    return {
        "courses": [
            {
                "key": key,
                "name": course.name,
                "covers": course.covers,
                "roles": [role.value for role in course.roles],
                "levels": course.levels,
                "valid_for_seconds": int(course.valid_for),
                "counts": course.counts,
            }
            for key, course in matrix.courses
        ],
        "people": [{"user": row.name, "courses": row.cells} for row in page.rows],
        "counts": {state: matrix.count(state) for state in TRAINING_STATE_LABELS},
        "has_more": page.has_more,
    }


class TrainingRecordSerializer(serializers.ModelSerializer[TrainingRecord]):
    """Somebody did a course; `current` is their last one of it, `lapsed` says that they are due again."""

    user = serializers.SerializerMethodField()
    lapsed = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRecord
        fields = (
            "id", "user", "course", "done_at", "due_at", "lapsed", "current", "note", "source", "recorded_at",
            "recorded_by",
        )  # fmt: skip

    def get_user(self, record: TrainingRecord) -> str:
        return record.user.get_username()

    def get_lapsed(self, record: TrainingRecord) -> bool:
        return record.current and record.due_at <= utcnow()


class RecordTrainingSerializer(StrictSerializer):
    """Who did a course together, and when; now without `done_at`."""

    course = Line(max_length=60)
    people = serializers.ListField(child=Line(max_length=150), allow_empty=False, max_length=MOST_PEOPLE)
    done_at = Moment(required=False)
    note = Line(required=False, allow_blank=True, max_length=300)
