"""What automation decided, as programs and people read it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from incidents.models import Incident, Monitor, Release, Sample
from rollbacks.models import Rollback
from tests.pages.conftest import SignIn
from tests.pages.test_reading import count_queries
from tests.rollbacks.test_decisions import age_the_release, consider, judged, monitor

__all__ = ["judged", "monitor"]  # fixtures


@pytest.mark.django_db
def test_programs_read_what_was_decided(
    ida: Client, incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    age_the_release(now, 9)
    consider(incident, now, monitor=monitor.pk, at=now)
    (found,) = ida.get("/api/v1/decisions/").json()["results"]
    assert found["reasons"] == [{"code": "old_release", "text": "the live release is 9 days old"}]
    assert {
        name: found[name] for name in ("service", "incident", "verdict", "rollback", "monitor", "metric")
    } == {
        "service": "shop",
        "incident": incident.ref,
        "verdict": "refused",
        "rollback": None,
        "monitor": monitor.pk,
        "metric": "error_rate",
    }
    assert found["evidence"]["live_age_seconds"] == 9 * 86_400


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2),
        ("?service=shop", 2),
        ("?service=nowhere", 0),
        ("?verdict=started", 1),
        ("?verdict=refused", 1),
        ("?incident=INC-0", 0),
        ("?before=2020-01-01T00:00:00Z", 0),
        ("?after=2020-01-01T00:00:00Z", 2),
    ],
)
def test_decisions_are_filtered(
    ida: Client, incident: Incident, now: dt.datetime, query: str, count: int
) -> None:
    consider(incident, now)
    consider(incident, now)  # refused: it is under way
    assert len(ida.get(f"/api/v1/decisions/{query}").json()["results"]) == count


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["?verdict=maybe", "?after=yesterday", "?color=red"])
def test_a_wrong_filter_is_named(ida: Client, incident: Incident, query: str) -> None:
    answer = ida.get(f"/api/v1/decisions/{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{query[1:].split('=')[0]}"


@pytest.mark.django_db
def test_a_restricted_incident_hides_its_decisions(
    ida: Client, sign_in: SignIn, incident: Incident, now: dt.datetime
) -> None:
    consider(incident, now)
    Incident.objects.filter(pk=incident.pk).update(restricted=True)
    other = sign_in("rob")
    assert other.get("/api/v1/decisions/").json()["results"] == []
    assert incident.ref not in other.get("/services/shop/").content.decode()
    assert len(ida.get("/api/v1/decisions/").json()["results"]) == 1


@pytest.mark.django_db
def test_the_pages_of_incident_and_service_say_why(
    ida: Client, incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    pages = (f"/incidents/{incident.ref}/", "/services/shop/")
    for page in pages:
        text = ida.get(page).content.decode()
        assert "Nothing decided yet" in text, "the empty state teaches"
        count_queries(ida, page)
    age_the_release(now, 9)
    consider(incident, now)
    prices = [count_queries(ida, page) for page in pages]
    for page in pages:
        text = ida.get(page).content.decode()
        assert "The live release is 9 days old" in text
        assert "Not rolled back" in text
    for _time in range(4):
        consider(incident, now)
    assert [count_queries(ida, page) for page in pages] == prices
    for page, key in zip(pages, ("incident_decisions", "service_decisions"), strict=True):
        part = ida.get(f"{page}?panel={key}").content.decode()
        assert "9 days old" in part
        assert "<html" not in part


@pytest.mark.django_db
def test_the_service_says_which_monitor_has_lost_its_right(
    ida: Client, judged: Any, incident: Incident
) -> None:
    assert "Starts no rollbacks" not in ida.get("/services/shop/").content.decode()
    judged(True)
    judged(True)
    assert "Starts no rollbacks: error rate (2 judged false)" in ida.get("/services/shop/").content.decode()


@pytest.mark.django_db
def test_a_rollback_without_a_target_cannot_be_asked_for_and_the_button_says_why(
    ida: Client, incident: Incident
) -> None:
    page = f"/incidents/{incident.ref}/roll-back/"
    assert 'type="submit" class="button danger"' in ida.get(page).content.decode()
    Release.objects.filter(version="1.9.0").update(state="superseded", good_at=None)
    text = ida.get(page).content.decode()
    assert 'type="submit" class="button danger"' not in text
    assert "Shop has no verified good release to return to" in text
    assert 'id="request-rollback" aria-disabled="true"' in text


@pytest.mark.django_db
def test_the_page_of_a_rollback_says_how_far_it_is_confirmed(
    ida: Client, incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    measured = Sample(monitor=monitor, at=now, outcome="ok", value=0.4, level="critical")
    measured.save()
    rollback = consider(incident, now, monitor=monitor.pk, at=now).rollback
    assert rollback is not None
    said = "Confirming: 1 of 2 critical measurements"
    assert said in ida.get(f"/rollbacks/{rollback.ref}/?panel=header").content.decode()
    assert said in ida.get(f"/incidents/{incident.ref}/").content.decode()
    Rollback.objects.filter(pk=rollback.pk).update(breach_check="confirmed")
    assert "Confirming" not in ida.get(f"/rollbacks/{rollback.ref}/").content.decode()
