"""Fifty clients ask for the same rollback at the same moment."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter

import pytest
from django.db import connection
from rest_framework.test import APIClient

from core.models import ApiToken, User
from incidents.models import Incident
from rollbacks.models import Rollback


@pytest.mark.django_db(transaction=True)
def test_one_is_created_and_forty_nine_are_refused(incident: Incident, now: dt.datetime) -> None:
    user = User.objects.get(username="ida")
    _token, text = ApiToken.issue(
        user=user, name="ci", scopes=["read", "write", "rollback"], expires_at=now + dt.timedelta(days=1)
    )
    answers: Counter[int] = Counter()
    start = threading.Barrier(50)

    def ask() -> None:
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")
        start.wait()
        try:
            body = {"incident": incident.ref, "service": "shop", "reason": "errors"}
            answers[client.post("/api/v1/rollbacks/", body, format="json").status_code] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {201: 1, 409: 49}
    assert Rollback.objects.get().state == "awaiting_approval", "what a token requests awaits a person"
