"""The field in which people name services: what is offered, what is taken, what is said of the rest."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from incidents.forms import DeclareForm
from incidents.models import Incident, MaintenanceWindow, Monitor, Service
from incidents.services_field import MOST, OFFERED
from tests.conftest import make_service
from tests.pages.conftest import SignIn, watch
from tests.pages.test_many_services import make_many


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in("vic", "viewer")


def declared(ida: Client, services: Any) -> Any:
    return ida.post("/incidents/declare/", {"title": "Down", "severity": "P2", "services": services})


@pytest.mark.parametrize(
    "services",
    [["shop", "pay"], "shop, pay", "shop pay", ["shop", "pay, ", ""], "SHOP;Pay", ["pay", "shop,pay"]],
)
def test_names_are_taken_as_chips_or_as_a_text(
    ida: Client, shop: Service, now: dt.datetime, services: Any
) -> None:
    make_service("pay", now)
    assert declared(ida, services).status_code == 302
    assert {service.slug for service in Incident.objects.get().services.all()} == {"shop", "pay"}


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("shop, shap", "There is no service “shap”."),
        ("sho", "There is no service “sho”. Did you mean shop?"),
        ("<b>x</b>", "There is no service “<b>x</b>”."),
        ("a\0b", "There is no service “a\0b”."),
        ("’' OR 1=1", "There is no service “’'”."),
        ("x" * 5_000, f"There is no service “{'x' * 60}”."),
        (" ".join(f"s-{n}" for n in range(MOST + 1)), "Name 200 services at most."),
    ],
)
def test_what_is_unknown_is_named_and_what_was_written_stays(
    ida: Client, shop: Service, services: str, said: str
) -> None:
    answer = declared(ida, services)
    assert answer.status_code == 422
    assert said in answer.context["form"].errors["services"]
    assert not Incident.objects.exists()
    assert "<b>x</b>" not in answer.content.decode()
    if services.startswith("shop,"):
        assert 'value="shop, shap"' in answer.content.decode()


def test_none_is_enough_for_an_incident_and_none_for_maintenance(ida: Client, shop: Service) -> None:
    assert declared(ida, "").status_code == 302
    send = {"lasts": "60", "reason": "upgrade"}
    refused = ida.post("/maintenance/new/", {**send, "services": " , "})
    assert "required" in str(refused.context["form"].errors["services"])
    assert ida.post("/maintenance/new/", {**send, "services": "shop"}).status_code == 302
    assert [s.slug for s in MaintenanceWindow.objects.get().services.all()] == ["shop"]


def test_the_form_costs_the_same_with_many_services(ida: Client, now: dt.datetime) -> None:
    """It was a list of all of them: at ten thousand a page of a megabyte."""

    def price() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            page = ida.get("/incidents/declare/").content.decode()
        return len(queries), page.split("<datalist")[1].split("</datalist>")[0].count("<option")

    make_many(now, 2, level="high")
    few, offered = price()
    assert offered == 2
    make_many(now, 70, level="warning")
    many, offered = price()
    assert many <= few
    assert offered == OFFERED


def test_without_scripts_it_is_a_text_field_with_some_offered(ida: Client, shop: Service) -> None:
    page = html.unescape(ida.get("/incidents/declare/").content.decode())
    assert '<label for="id_services">' in page
    assert 'list="id_services_some"' in page
    assert (
        '<datalist id="id_services_some"><option value="shop">Shop (production)</option></datalist>' in page
    )
    assert "Short names, with commas between" in page


def test_what_is_in_trouble_is_offered_first_then_what_fits(viewer: Client, now: dt.datetime) -> None:
    make_many(now, 30)
    make_service("pay", now)
    monitor = watch("pay", now)
    Monitor.objects.filter(pk=monitor.pk).update(level="critical")

    def offered(**asked: str) -> list[str]:
        return [offer["slug"] for offer in viewer.get("/search/services/", asked).json()["services"]]

    assert offered()[:3] == ["pay", "s-ok-000", "s-ok-001"]
    assert len(offered()) == 10
    assert offered(q="s-ok-02")[0] == "s-ok-020"
    assert offered(q="service 007") == ["s-ok-007"]
    assert offered(q="zebra") == offered(q="&|!") == []
    (offer,) = viewer.get("/search/services/?q=pay").json()["services"]
    assert offer == {"slug": "pay", "name": "Pay", "detail": "production · Critical"}


def test_a_form_made_of_anything_but_a_request_takes_lists_too(shop: Service) -> None:
    form = DeclareForm({"title": "x", "severity": "P1", "services": ["shop"]})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["services"] == ["shop"]
    assert DeclareForm(QueryDict("title=x&severity=P1&services=shop&services=")).is_valid()
