"""What one request of each kind sends to the database, and how fast the database alone answers that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

import psycopg
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.load import Window
from bench.operations import Operation, new_incident

_INSERT = (
    "INSERT INTO bench_written (ref, title, description, impact, kind, severity, status, drill, declared_at,"
    " declared_by, source, started_at, response_due_at) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 24),"
    " 'Checkout answers with errors', repeat('The error rate rose within two minutes. ', 6), '', 'operational', 'P1',"
    " 'investigating', false, now(), 'person1', 'api', now(), now())"
)


def statements_of(operation: Operation, *, token: str, client: Client) -> tuple[str, ...]:
    """Run one request in this process and note what it asks the database; the second counts."""
    path = next(operation.paths())
    headers = {"host": "127.0.0.1"} | ({} if operation.page else {"authorization": f"Bearer {token}"})
    browser = client if operation.page else Client()
    for number in (1, 2):
        with CaptureQueriesContext(connection) as captured:
            if operation.method == "GET":
                answer = browser.get(path, headers=headers)
            else:
                body = new_incident(-number)
                answer = browser.post(path, body, content_type="application/json", headers=headers)
        if answer.status_code != operation.expected:
            raise RuntimeError(f"{operation.name}: {answer.status_code} {answer.content[:500]!r}")
    texts = [query["sql"] for query in captured.captured_queries]
    return tuple(text for text in texts if text not in ("BEGIN", "COMMIT"))


def run_alone(operation: Operation, texts: Sequence[str], *, connections: int, seconds: float) -> Window:
    """The same statements over psycopg, without Django; for a create one insert and its commit."""
    if operation.method == "POST":
        texts = (_INSERT,)
    window, began = Window(), time.perf_counter()
    threads = [
        threading.Thread(target=_repeat, args=(texts, began + seconds, window.latencies, window.failures))
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    window.seconds = time.perf_counter() - began
    return window


def _repeat(texts: Sequence[str], deadline: float, latencies: list[float], failures: list[str]) -> None:
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as link:
            cursor = psycopg.ClientCursor(link)
            while (began := time.perf_counter()) < deadline:
                for text in texts:
                    cursor.execute(text)
                latencies.append(time.perf_counter() - began)
    except psycopg.Error as error:
        failures.append(str(error))
