"""The broker as seen from outside Celery: does it answer, and how long are its queues?"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import redis
from django.conf import settings

from core.operation.bounded import Bounded

LIMIT_SECONDS = 1.0


def queue_names() -> tuple[str, ...]:
    """Every queue that Firebreak sends to."""
    routed = [route["queue"] for route in settings.CELERY_TASK_ROUTES.values()]
    return tuple(sorted({settings.CELERY_TASK_DEFAULT_QUEUE, *routed}))


def ask_queue_lengths() -> Mapping[str, int]:
    """Messages that wait in each queue; raises redis.RedisError when there is no answer."""
    link = redis.Redis.from_url(
        redis_url(settings.CELERY_BROKER_URL),
        socket_timeout=LIMIT_SECONDS,
        socket_connect_timeout=LIMIT_SECONDS,
        retry=None,
    )
    try:
        names = queue_names()
        pipeline = link.pipeline(transaction=False)
        for name in names:
            pipeline.llen(name)
        return dict(zip(names, pipeline.execute(), strict=True))
    finally:
        link.close()


def redis_url(broker_url: str) -> str:
    """kombu's spelling of a Unix socket in redis-py's; other addresses are the same in both."""
    parts = urlsplit(broker_url)
    if parts.scheme != "redis+socket":
        return broker_url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.netloc}{parts.path}?db={database}"


queues: Bounded[Mapping[str, int]] = Bounded("broker", ask_queue_lengths)


def queue_lengths() -> tuple[Mapping[str, int], str | None]:
    """The lengths and None, or nothing and why not."""
    try:
        return queues.answer(LIMIT_SECONDS), None
    except TimeoutError:
        return {}, f"It does not answer within {LIMIT_SECONDS:g} s"
    except (redis.RedisError, OSError):
        return {}, "It cannot be reached"
