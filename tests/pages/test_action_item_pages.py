"""The pages of action items: lists, filters, forms without JavaScript, the panel of an incident."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from core.actors import Actor
from core.outbox import deliver_pending
from incidents.models import ActionItem, Incident
from incidents.services.action_items import create_action_item
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.tasks import create_task
from tests.pages.conftest import HOSTILE, SignIn
from tests.pages.test_reading import count_queries

DAY = dt.timedelta(days=1)


@pytest.fixture
def by(commander: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"actor": commander, "now": now}


def read(browser: Client, path: str = "/action-items/") -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_it_is_added_changed_done_and_opened_again_by_forms(ida: Client, incident: Incident) -> None:
    assert "Nothing to do" in read(ida)
    assert ida.post("/action-items/new/", {"title": "Alert on disk", "owner": "ida", "due_on": "2020-02-29"})["Location"] == "/action-items/"  # fmt: skip
    item = ActionItem.objects.get()
    page = read(ida)
    assert "Alert on disk" in page and "1 overdue" in page and "1 yours, 1 overdue" in page
    at = f"/action-items/{item.pk}/"
    shown = read(ida, at)
    assert 'datetime="2020-02-29"' in page and "2020-02-29" in shown and "Overdue" in shown
    form = {
        "title": "Alert on disk",
        "owner": "",
        "due_on": "",
        "state": "in_progress",
        "description": "80 %",
    }
    assert ida.post(f"{at}edit/", form).status_code == 302
    item.refresh_from_db()
    assert (item.state, item.owner, item.due_on, item.description) == ("in_progress", None, None, "80 %")
    ida.post(f"{at}done/", {"note": "Alerts now"})
    assert "Alert on disk" not in read(ida, "/action-items/?panel=list") and "Alerts now" in read(ida, at)
    assert "Alert on disk" in read(ida, "/action-items/?state=done")
    ida.post(f"{at}reopen/")
    assert ida.post(f"{at}drop/", {}).status_code == 422  # why not
    assert ida.post(f"{at}drop/", {"reason": "no disk"}).status_code == 302
    assert read(ida, "/action-items/?state=dropped").count(at) >= 1


def test_the_incidents_page_has_its_own_once_it_is_over_and_leads_back(
    ida: Client, incident: Incident, by: dict[str, Any]
) -> None:
    at = f"/incidents/{incident.ref}/"
    panel = f"{at}?panel=action_items"
    assert re.search(r'aria-label="Action items"[^>]* hidden>', read(ida, panel))
    create_task(incident_id=incident.pk, title="Call the vendor", **by)
    resolve_incident(incident_id=incident.pk, resolution="fixed", **by)
    shown = read(ida, panel)
    assert " hidden>" not in shown and f"{at}action-items/from-tasks/" in shown
    assert ida.post(f"{at}action-items/from-tasks/")["Location"] == at
    assert ida.post(f"{at}action-items/new/", {"title": HOSTILE, "kind": "immediate"})["Location"] == at
    shown = read(ida, panel)
    assert "Call the vendor" in shown and "Prevention, immediate" in shown and HOSTILE not in shown
    assert "from-tasks" not in shown
    done = re.search(r'href="(/action-items/\d+/done/\?back=incident)"', shown)
    assert done
    assert ida.post(done[1], {})["Location"] == at


def test_only_known_words_filter_and_all_filters_work(
    ida: Client, incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    create_action_item(incident_id=incident.pk, title="Of the shop", owner="ida", **by)
    create_action_item(title="Late one", kind="long_term", due_on=now.date() - 2 * DAY, **by)
    found = {
        "owner=me": ("Of the shop", "Late one"), "owner=ida": ("Of the shop", "Late one"), "owner=nobody": ("Late one", "Of the shop"),
        "service=shop": ("Of the shop", "Late one"), "kind=long_term": ("Late one", "Of the shop"), "late=1": ("Late one", "Of the shop"),
    }  # fmt: skip
    for query, (there, not_there) in found.items():
        panel = read(ida, f"/action-items/?{query}&panel=list")
        assert there in panel and not_there not in panel, query
    assert "None like that" in read(ida, "/action-items/?kind=action&late=1")
    wrong = read(ida, "/action-items/?state=%3Cscript%3E&owner=x&kind=x&service=x&late=x&page=-1")
    assert "Of the shop" in wrong and "Late one" in wrong


def test_pages_cost_the_same_however_many_there_are(
    ida: Client, incident: Incident, by: dict[str, Any]
) -> None:
    def make(number: int) -> None:
        for each in range(number):
            create_action_item(incident_id=incident.pk, title=f"Look {each}", owner="ida", **by)

    make(1)
    few = [count_queries(ida, path) for path in ("/action-items/", f"/incidents/{incident.ref}/")]
    make(8)
    assert [count_queries(ida, path) for path in ("/action-items/", f"/incidents/{incident.ref}/")] == few


def test_there_is_a_next_page(ida: Client, by: dict[str, Any]) -> None:
    for number in range(53):
        create_action_item(title=f"Look {number:03}", **by)
    first = read(ida)
    assert "Look 049" in first and "Look 050" not in first and "page=2" in first
    second = read(ida, "/action-items/?page=2")
    assert "Look 052" in second and "Look 049" not in second and "page=3" not in second


def test_who_may_only_read_gets_no_buttons_and_what_is_hidden_is_not_there(
    sign_in: SignIn, incident: Incident, by: dict[str, Any]
) -> None:
    item = create_action_item(incident_id=incident.pk, title="Look", **by)
    secret = declare_incident(title="Leak", severity="P1", restricted=True, **by)
    hidden = create_action_item(incident_id=secret.pk, title="Rotate the keys", **by)
    viewer = sign_in("vic", "viewer")
    page = read(viewer)
    assert "Look" in page and "Rotate the keys" not in page and "/done/" not in page and "/new/" not in page
    assert viewer.post(f"/action-items/{item.pk}/done/").status_code == 403
    assert viewer.get(f"/action-items/{hidden.pk}/").status_code == 404


def test_an_item_of_a_checklist_is_given_to_somebody_on_the_page(ida: Client, incident: Incident) -> None:
    deliver_pending(now=dt.datetime.now(dt.UTC))
    at = f"/incidents/{incident.ref}/checklists/emergency/preserve_evidence/assign/"
    assert at in read(ida, f"/incidents/{incident.ref}/?panel=checklists")
    assert ida.post(at, {"user": "ida"}).status_code == 302
    assert str(incident.checklist_items.get(key="preserve_evidence").owner) == "ida"
    assert ida.post(at, {"user": "nobody-at-all"}).status_code == 422
