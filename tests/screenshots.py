"""Pictures of every page, light, dark and on a phone, of a running demo of its own: `make screenshots`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.chromium import chromium
from tests.flows.stack import Firebreak, wait_for

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}
# What the README and the guides show: the picture, and the name it has there.
SHOWN = {
    "incident-light": "incident",
    "now-dark": "now",
    "rollback-light": "rollback",
    "system-light": "system",
    "service-dark": "service",
    "status-light": "status",
    "insights-light": "insights",
    "report-light": "report",
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    firebreak = Firebreak(Path(tempfile.mkdtemp(prefix="fb-")) / "var")
    firebreak.start()
    try:
        firebreak.shell("from tests.screenshot_scene import build; build()")
        with chromium() as browser:
            contexts = {name: _signed_in(browser, firebreak, options) for name, options in LOOKS.items()}
            firebreak.break_demo()
            rollback = wait_for(lambda: _under_way(firebreak), "a rollback that runs", 120)
            acute = {
                "now": "/",
                "incident": f"/incidents/{rollback['incident']}/",
                "rollback": f"/rollbacks/{rollback['ref']}/",
            }
            _take(contexts, firebreak.url, acute, folder)
            firebreak.incident("monitoring", 240)
            _take(contexts, firebreak.url, _calm(firebreak), folder)
    finally:
        firebreak.stop()
    for name, shown in SHOWN.items():
        target = folder / "shown" / f"{shown}.jpg"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(folder / f"{name}.jpg", target)


def _signed_in(browser: Browser, firebreak: Firebreak, options: dict[str, Any]) -> BrowserContext:
    context = browser.new_context(base_url=firebreak.url, **options)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.fill("input[name=login]", "admin")
    page.fill("input[name=password]", firebreak.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/")
    page.close()
    return context


def _under_way(firebreak: Firebreak) -> Any:
    states = ("executing", "verifying")
    return next((one for one in firebreak.all("/rollbacks/") if one["state"] in states), None)


def _calm(firebreak: Firebreak) -> dict[str, str]:
    mail = next(one["ref"] for one in firebreak.all("/incidents/") if one["severity"] == "P2")
    message = firebreak.shell(
        "from comms.models import Message; print(Message.objects.filter(state='draft').latest('pk').pk)"
    ).strip()
    told = next(one["ref"] for one in firebreak.all("/incidents/") if one["severity"] == "P1")
    return {
        "reports": "/reports/",
        "report": f"/incidents/{told}/report/",
        "report-read": f"/incidents/{told}/report/read/",
        "solved-rollback": f"/rollbacks/{firebreak.all('/rollbacks/')[0]['ref']}/",
        "incident-p2": f"/incidents/{mail}/",
        "update": f"/incidents/{mail}/update/",
        "declare": "/incidents/declare/",
        "incidents": "/incidents/",
        "services": "/services/",
        "service": "/services/storefront/",
        "checkout": "/services/checkout/",
        "alerts": "/alerts/",
        "action-items": "/action-items/",
        "insights": "/insights/",
        "drills": "/drills/",
        "reviews": "/reviews/",
        "review": f"/reviews/{firebreak.all('/reviews/')[0]['id']}/",
        "documents": "/reviews/documents/",
        "training": "/training/",
        "silences": "/silences/",
        "maintenance": "/maintenance/",
        "messages": "/messages/",
        "message": f"/messages/{message}/",
        "compose": f"/incidents/{mail}/messages/new/",
        "components": "/components/",
        "channels": "/channels/",
        "contacts": "/contacts/",
        "system": "/system/",
        "changes": "/changes/",
        "webhooks": "/webhooks/",
        "tokens": "/account/tokens/",
        "security": "/accounts/2fa/",
        "automation": "/automation/",
        "status": "/status/",
        "status-history": "/status/history/",
    }


def _take(contexts: dict[str, BrowserContext], url: str, pages: dict[str, str], folder: Path) -> None:
    for name, address in pages.items():
        for look, context in contexts.items():
            page = context.new_page()
            answer = page.goto(address)
            assert answer and answer.ok, f"{address} answers {answer and answer.status}"
            page.wait_for_timeout(500)  # the live connection, fonts
            page.screenshot(path=folder / f"{name}-{look}.jpg", type="jpeg", quality=68)
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
