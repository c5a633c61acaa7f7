"""The pages of reviews and of the documents that are looked over, and the doors of their commands."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.versions import at_version
from core.views.commands import CommandView
from core.views.reading import Later, Live, page_query, reading, render_page
from incidents import review_forms
from incidents.models import Document, Review
from incidents.selectors import documents as document_selectors
from incidents.selectors import reviews as selectors
from incidents.selectors.action_items import items_of_review
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.reports import report_url
from incidents.selectors.waiting import REVIEWS, waits_for
from incidents.services import documents as document_commands
from incidents.services import reviews as commands
from incidents.views.incidents import IncidentCommand


@reading
def reviews(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Reviews that are open, the next ones by the calendar, and those of the past."""
    now = utcnow()
    page = selectors.reviews_page(actor, now=now, before=page_query(request).get("before", ""))
    url = reverse("incidents:reviews")
    context = {
        "live": Live(url, "reviews"),
        "page": page,
        "waits": Later(lambda: waits_for(actor, now=now, only=REVIEWS)),
        "upcoming": selectors.upcoming_reviews(now=now),
        "why_not": why_not_allowed(actor, "respond"),
        "previous_url": url if page.is_older else None,
        "next_url": f"{url}?before={page.before}" if page.before else None,
    }
    return render_page(request, "incidents/reviews.html", context)


@reading
def review(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """One review: its agenda, what was said about it, and what is to be done with it now."""
    now, found = utcnow(), selectors.get_review(actor, pk)
    context = {
        "live": Live(reverse("incidents:review", args=[pk]), f"review:{pk}"),
        "review": found,
        "line": selectors.review_line(found, now),
        "sections": selectors.sections_for(actor, found),
        "items": items_of_review(actor, found, now=now),
        "attendees": [user.get_username() for user in found.attendees.all()],
        "why_not": why_not_allowed(actor, "respond"),
        "why_not_sign_off": commands.why_not_sign_off(found, actor) if found.state == "held" else "",
    }
    return render_page(request, "incidents/review.html", context)


@reading
def documents(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What the team keeps written down, and when each was looked over last."""
    context = {
        "live": Live(reverse("incidents:documents"), "documents"),
        "documents": document_selectors.document_lines(now=utcnow()),
        "why_not": why_not_allowed(actor, "respond"),
    }
    return render_page(request, "incidents/documents.html", context)


class OpenReview(CommandView):
    form_class = review_forms.OpenReviewForm
    title = "Open a review"
    submit_label = "Open it"
    opened_id = 0

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        data["ends_at"] = data["ends_at"] or now
        made = commands.open_review(actor=self.actor, now=now, **data)
        self.opened_id = made.pk
        return f"{made} is open."

    def back_url(self) -> str:
        if self.opened_id:
            return reverse("incidents:review", args=[self.opened_id])
        return reverse("incidents:reviews")

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["Its agenda is filled with what is so now. Nobody is told: invite them."]}


class OpenRetrospective(IncidentCommand):
    form_class = review_forms.RetrospectiveForm
    title = "Open the retrospective"
    submit_label = "Open it"
    opened: Review

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        self.opened = commands.open_retrospective(
            incident_id=self.incident.pk, actor=self.actor, now=now, **data
        )
        return f"{self.opened} is open."

    def back_url(self) -> str:
        if hasattr(self, "opened"):
            return reverse("incidents:review", args=[self.opened.pk])
        return report_url(self.incident.ref)

    def extra_context(self) -> dict[str, Any]:
        told = "Its agenda is filled with what the report says now, and stays so."
        return {"consequences": [told, "Who holds a role on the incident is told."]}


class ReviewCommand(CommandView):
    """A command on one review."""

    review: Review

    def load(self, **kwargs: Any) -> None:
        self.review = selectors.get_review(self.actor, kwargs["pk"])

    def back_url(self) -> str:
        return reverse("incidents:review", args=[self.review.pk])

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.review}"}

    def unchanged(self) -> Any:
        """What the form was compared with is what is changed."""
        return at_version(Review.objects.filter(pk=self.review.pk), {self.review.version})


class WriteReview(ReviewCommand):
    form_class = review_forms.WriteReviewForm
    title = "Write up"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        return {"review": self.review}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.edit_review(
                review_id=self.review.pk, actor=self.actor, now=now, **review_forms.written(data)
            )
        return "It is saved."


class HoldReview(WriteReview):
    form_class = review_forms.HoldReviewForm
    title = "Held"
    submit_label = "It was held"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.hold_review(
                review_id=self.review.pk, actor=self.actor, now=now, **review_forms.written(data)
            )
        return f"{self.review} was held; another person signs it off."


class SignOffReview(ReviewCommand):
    title = "Sign off"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.sign_off_review(review_id=self.review.pk, actor=self.actor, now=now)
        return f"{self.review} is signed off."

    def extra_context(self) -> dict[str, Any]:
        return {**super().extra_context(), "consequences": ["Nobody can change what was written after that."]}


class ReviewDocument(CommandView):
    form_class = review_forms.DocumentForm
    title = "Reviewed"
    submit_label = "Save"
    document: Document

    def load(self, **kwargs: Any) -> None:
        self.document = document_selectors.get_document(kwargs["pk"])

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        done = document_commands.review_document(
            document_id=self.document.pk, actor=self.actor, now=now, **data
        )
        return f"{done.name} is reviewed; it is due again on {done.due_at:%Y-%m-%d}."

    def back_url(self) -> str:
        return reverse("incidents:documents")

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.document.name}"}
