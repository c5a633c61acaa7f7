"""How Firebreak is watched: its processes, its probes, its metrics, its outside heartbeat."""

from urllib.parse import urlsplit

from config.settings.base import PORT, PUBLIC_URL, env

_IS_LOCAL = urlsplit(PUBLIC_URL).hostname in {"127.0.0.1", "localhost", "::1"}

# Processes that must run somewhere; each Celery worker by the first part of its node name.
EXPECTED_PROCESSES = env.list(
    "EXPECTED_PROCESSES", default=["web", "checks", "comms", "runner", "beat", "watchdog"]
)
# Where the watchdog asks its host's web process whether it answers; empty: not at all.
WEB_PROBE_URL = env.str("WEB_PROBE_URL", default=f"http://127.0.0.1:{PORT}/healthz")
# Who may read /metrics without a token. Behind a proxy everyone may look like loopback, so a
# published installation names its networks itself.
METRICS_ALLOWED_NETWORKS = env.list(
    "METRICS_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"] if _IS_LOCAL else []
)
# Asked every minute while every process is fresh and no work is stuck (a dead man's switch); empty: nobody.
HEARTBEAT_URL = env.str("HEARTBEAT_URL", default="")
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", default=60.0)
