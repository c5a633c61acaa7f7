"""Makes the README's screenshots from a running demo of its own: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import chromium
from tests.flows.stack import Firebreak


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    firebreak = Firebreak(Path(tempfile.mkdtemp(prefix="fb-")) / "var")
    firebreak.start()
    try:
        firebreak.break_demo()
        incident = firebreak.incident("monitoring")
        (rollback,) = firebreak.all("/rollbacks/")
        pages = {
            "now": "/",
            "incident": f"/incidents/{incident['ref']}/",
            "rollback": f"/rollbacks/{rollback['ref']}/",
            "messages": "/messages/",
            "status": "/status/",
            "system": "/system/",
        }
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{firebreak.url}/accounts/login/")
            page.fill("input[name=login]", "admin")
            page.fill("input[name=password]", firebreak.password)
            page.click("button[type=submit]")
            for name, path in pages.items():
                page.goto(f"{firebreak.url}{path}")
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"{name}.png")
    finally:
        firebreak.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
