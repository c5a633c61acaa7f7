"""What the demo adds to a running Firebreak: a storefront, loopback allowed, a receiver of webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEMO_DIR = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Extra:
    """Environment, processes, preparing commands and greeting lines."""

    environment: dict[str, str]
    procfile: Path
    prepare: tuple[tuple[str, ...], ...]
    greeting: tuple[str, ...]


def demo_extra(environment: dict[str, str]) -> Extra:
    """The storefront on the next port; what the environment sets already is kept."""
    port = int(environment["PORT"])
    storefront = environment.get("STOREFRONT_PORT") or str(port + 1)
    webhook = environment.get("DEMO_WEBHOOK_PORT") or str(port + 2)
    added = {
        "STOREFRONT_PORT": storefront,
        "DEMO_WEBHOOK_PORT": webhook,
        "OUTBOUND_ALLOWED_NETWORKS": environment.get("OUTBOUND_ALLOWED_NETWORKS") or "127.0.0.0/8",
    }
    return Extra(
        environment=added,
        procfile=DEMO_DIR / "Procfile",
        prepare=(("seed_demo",),),
        greeting=(
            f"The demo storefront serves at http://127.0.0.1:{storefront}/;"
            " `make break` deploys a bad release to it.",
            f"Its e-mails are files in {environment['VAR_DIR']}/mail, its webhooks lines in"
            f" {environment['VAR_DIR']}/storefront/log/webhooks.jsonl.",
        ),
    )
