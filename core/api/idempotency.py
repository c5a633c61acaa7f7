"""`Idempotency-Key`: a POST repeated within a day gets the first answer and does nothing again."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core.clock import utcnow
from core.errors import Conflict
from core.models import ApiToken, IdempotentAnswer

HEADER = "Idempotency-Key"
KEPT = dt.timedelta(hours=24)
FORGOTTEN_AT_ONCE = 1_000
_KEY = re.compile(r"[\x20-\x7e]{1,200}")


class KeyReused(Conflict):
    """The key was used for another request before."""

    code = "idempotency_key_reused"
    status = 422


def answer_once(handler: Callable[..., Response], request: Request, *args: Any, **kwargs: Any) -> Response:
    """Run `handler` unless this key was answered before; a repeat while it runs waits for it.

    Effect and answer are one transaction, so a crash leaves both or neither; a refusal leaves
    neither, and the same key may be tried again. Raises KeyReused, or ValidationError for a key
    that is not 1 to 200 printable ASCII characters. What a response has as `kept` is stored instead of
    its data: an answer with a secret in it is given once.
    """
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise ValidationError({HEADER: "Must be 1 to 200 printable ASCII characters."})
    caller = f"token:{request.auth.pk}" if isinstance(request.auth, ApiToken) else f"user:{request.user.pk}"
    asked, now = _hash_of(request), utcnow()
    with transaction.atomic():
        _wait_for_others(caller, key)
        answers = IdempotentAnswer.objects.filter(caller=caller, key=key)
        first = answers.first()
        if first is not None and first.created_at >= now - KEPT:
            return _replay(first, asked)
        if first is not None:  # expired, and no sweep came by yet
            answers.delete()
        response = handler(request, *args, **kwargs)
        IdempotentAnswer.objects.create(
            caller=caller,
            key=key,
            request_hash=asked,
            status=response.status_code,
            body=json.loads(JSONRenderer().render(getattr(response, "kept", response.data)) or b"null"),
            etag=response.get("ETag", ""),
            created_at=now,
        )
    return response


def forget_expired_answers(*, now: dt.datetime) -> int:
    """Delete the answers that no repeat gets any more, a batch at a time; returns how many.

    Rows that others touch at this moment are left for the next time: nobody waits over old answers.
    """
    forgotten = 0
    while True:
        with transaction.atomic():
            expired = IdempotentAnswer.objects.filter(created_at__lt=now - KEPT).order_by("created_at")
            batch = list(
                expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]
            )
            IdempotentAnswer.objects.filter(pk__in=batch).delete()
        forgotten += len(batch)
        if len(batch) < FORGOTTEN_AT_ONCE:
            return forgotten


def _wait_for_others(caller: str, key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {caller} {key}"]
        )


def _hash_of(request: Request) -> str:
    asked = [request.method, request.get_full_path(), request.data]
    body = json.dumps(asked, sort_keys=True, default=_digest_of_file)
    return hashlib.sha256(body.encode()).hexdigest()


def _digest_of_file(file: UploadedFile[bytes]) -> list[str | None]:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return [file.name, digest.hexdigest()]


def _replay(first: IdempotentAnswer, asked: str) -> Response:
    if first.request_hash != asked:
        raise KeyReused("This key was used for another request within the last 24 hours.")
    headers = {"Idempotent-Replayed": "true"} | ({"ETag": first.etag} if first.etag else {})
    return Response(first.body, status=first.status, headers=headers)
