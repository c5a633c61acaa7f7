"""The page of the figures: readable at a glance, each figure leads to exactly what is behind it."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.actors import SYSTEM
from core.models import User
from incidents.models import Incident, Service
from incidents.services.incidents import acknowledge_incident, declare_incident, resolve_incident
from rollbacks.models import Rollback
from rollbacks.rules.insights import FIGURES, Figures, change_between, months_back
from rollbacks.selectors.insight_charts import base_text, change_text, value_text
from tests.conftest import make_service
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def ida(make_user: Callable[..., User]) -> Client:
    client = Client()
    sign_in(client, make_user("ida", "responder"))
    return client


@pytest.fixture
def past(db: None, now: dt.datetime) -> Service:
    """Two months with incidents, rolled back in every way, and what must not count."""
    shop = make_service("shop", now)
    ended = ("succeeded", "failed", "rejected", "succeeded")
    for number, state in enumerate(ended):
        at = months_back(now, number % 2) + dt.timedelta(seconds=number)
        by: dict[str, Any] = {"actor": SYSTEM}
        incident = declare_incident(
            title=f"Number {number}", severity="P1", services=["shop"], now=at, drill=number == 3, **by
        )
        Incident.objects.filter(pk=incident.pk).update(restricted=number == 2)
        acknowledge_incident(incident_id=incident.pk, now=at + dt.timedelta(minutes=20 * number), **by)
        resolve_incident(incident_id=incident.pk, resolution="x", now=at + dt.timedelta(hours=2), **by)
        Rollback.objects.create(
            ref=f"RB-2026-01-01-{number:04}", incident=incident, service=shop, procedure="p", procedure_digest="p",
            plan_digest="p", trigger="automated", state=state, from_version="2", target_version="1", reason="x",
            expected_duration_seconds=1, drill=number == 3, requested_by="x", requested_at=at,
            completed_at=at + dt.timedelta(minutes=6), false_positive=state == "failed",
        )  # fmt: skip
    return shop


def links(page: str, start: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(rf'href="({start}[^"]*)"', page)]


def behind(client: Client, address: str) -> int:
    page = client.get(address).content.decode()
    found = re.search(r"<h2>(\d+) (?:incidents|rollbacks)</h2>", page)
    assert found and page.count("incident-line hit") == int(found[1]), address
    return int(found[1])


def test_it_teaches_while_nothing_has_happened(ida: Client) -> None:
    page = ida.get("/insights/").content.decode()
    assert "Nothing to learn from yet" in page
    assert page.count('class="panel insight"') == len(FIGURES)
    assert "NaN" not in page and "None" not in page
    for figure in FIGURES.values():
        assert html.escape(figure.definition) in page


def test_every_figure_and_every_month_leads_to_what_is_behind_it(ida: Client, past: Service) -> None:
    """Neither the drill nor the restricted incident is anywhere."""
    page = ida.get("/insights/").content.decode()
    assert "Nothing to learn" not in page
    expected = {
        "incidents": 2, "response_attainment": 2, "mtta": 2, "mttr": 2, "rollback_frequency": 2,
        "rollback_success_rate": 2, "time_to_rollback": 1, "false_positive_rate": 2,
    }  # fmt: skip
    for key, number in expected.items():
        whole = re.search(rf'class="big" href="(/insights/{key}/[^"]*)"', page)
        assert whole and behind(ida, html.unescape(whole[1])) == number, key
        card = page[page.index(f'id="figure-{key}"') :]
        bars = links(card[card.index('class="bars"') : card.index("<details")], f"/insights/{key}/")
        table = links(card[card.index("<tbody") : card.index("</tbody>")], f"/insights/{key}/")
        assert bars == table and len(bars) == 12
        assert sum(behind(ida, address) for address in bars) == number, key
    for cell in links(page[page.index("Compared") :], "/insights/mttr/"):
        assert behind(ida, cell) == (2 if "severity=P1" in cell else 0)
    assert "Number 2" not in ida.get("/insights/incidents/").content.decode()


def test_the_filters_narrow_and_what_is_wrong_is_said(ida: Client, past: Service) -> None:
    def incidents(query: str) -> str:
        page = ida.get(f"/insights/?{query}").content.decode()
        found = re.search(r'class="big" href="/insights/incidents/[^"]*">([^<]*)<', page)
        assert found
        return found[1]

    assert incidents("severity=P1&service=shop&trigger=automated&by=service") == "2"
    assert [incidents(query) for query in ("severity=P0", "trigger=manual")] == ["0", "0"]
    wrong = ida.get("/insights/?from=yesterday&service=nowhere&severity=P9&by=colour&to=2001-01-01")
    assert wrong.status_code == 200
    page = wrong.content.decode()
    assert "Give a day such as" in page and "There is no service" in page
    assert "Choose at most 60 months." in ida.get("/insights/?from=2001-01-01").content.decode()
    assert ida.get("/insights/nothing/").status_code == 404
    assert ida.get("/insights/mttr/?before=%07&from=%ff&service=%07&severity=x").status_code == 200


def test_the_csv_behind_the_page_is_of_the_same_span(ida: Client, past: Service) -> None:
    page = ida.get("/insights/?severity=P1&service=shop").content.decode()
    by_month, by_severity = links(page, "/api/v1/insights.csv")
    sheet = ida.get(by_month).content.decode().splitlines()
    assert len(sheet) == 14 and sheet[-1].startswith("total,2,")
    sheet = ida.get(by_severity).content.decode().splitlines()
    assert [line.split(",")[:2] for line in sheet[1:]] == [
        ["P0", "0"], ["P1", "2"], ["P2", "0"], ["P3", "0"], ["total", "2"]
    ]  # fmt: skip


def test_the_csv_of_several_services_is_of_them_all(ida: Client, past: Service, now: dt.datetime) -> None:
    make_service("idle", now)
    page = ida.get("/insights/?service=shop,idle&by=service").content.decode()
    by_month, by_service = links(page, "/api/v1/insights.csv")
    assert "service=shop%2Cidle" in by_month and "by=service" in by_service
    sheet = ida.get(by_service).content.decode().splitlines()
    assert [line.split(",")[:2] for line in sheet[1:]] == [["shop", "2"], ["total", "2"]]


def test_a_long_list_has_pages(ida: Client, past: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollbacks.selectors.insight_rows.PAGE_SIZE", 1)
    first = ida.get("/insights/incidents/").content.decode()
    (older,) = [address for address in links(first, "/insights/incidents/") if "before=" in address]
    second = ida.get(older).content.decode()
    assert "Number 1" in first and "Number 0" in second and 'rel="next"' not in second
    assert "2 incidents" in first and "2 incidents" in second


@pytest.mark.parametrize(
    ("key", "value", "before", "words"),
    [
        ("mttr", 3600.0, 4320.0, ("1 h", "12 min faster")),
        ("mtta", 90.0, 60.0, ("1 min 30 s", "30 s slower")),
        ("rollback_frequency", 2.5, 1.0, ("2.5", "1.5 more")),
        ("incidents", 1200.0, 1203.0, ("1,200", "3 fewer")),
        ("rollback_success_rate", 0.9, 0.875, ("90 %", "up 2.5 points")),
        ("false_positive_rate", 0.01, 0.02, ("1 %", "down 1 point")),
        ("rollback_success_rate", 1.0, 0.0, ("100 %", "up 100 points")),
        ("rollback_success_rate", 0.9, 0.9003, ("90 %", "down 0.1 points")),
        ("mttr", None, 1.0, ("–", "nothing to compare with")),
        ("mttr", 5.0, 5.0, ("5 s", "as before")),
    ],
)
def test_figures_in_words(key: str, value: float | None, before: float, words: tuple[str, str]) -> None:
    figure = FIGURES[key]
    assert (value_text(figure, value), change_text(figure, change_between(figure, value, before))) == words


def test_a_ratio_says_of_how_many() -> None:
    figures = Figures(responses_due=12, responses_in_time=9, resolved=4)
    assert base_text(FIGURES["response_attainment"], figures) == "9 of 12 due"
    assert base_text(FIGURES["mttr"], figures) == "4 resolved"
    assert base_text(FIGURES["incidents"], figures) == ""
