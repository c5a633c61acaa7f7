"""`ETag`, `If-Match` and `If-None-Match`: the version of one thing, as HTTP has it."""

from __future__ import annotations

import re

from django.conf import settings
from django.utils.http import parse_etags
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from core.errors import FirebreakError

_ETAG = re.compile(r'"v([0-9]{1,9})"')


class VersionRequired(FirebreakError):
    """This installation takes no change that does not say which version it rests on."""

    code = "version_required"
    status = 428


def etag_of(version: int) -> str:
    """The strong ETag of a version: `"v7"`."""
    return f'"v{version}"'


def expected_versions(request: Request) -> frozenset[int] | None:
    """The versions that `If-Match` names; None where anything will do.

    Weak and foreign tags match nothing, as the standard has it. Raises ValidationError for what is
    no list of tags, VersionRequired for a PATCH without one where API_REQUIRE_IF_MATCH is set.
    """
    header = request.headers.get("If-Match")
    if header is None:
        if request.method == "PATCH" and settings.API_REQUIRE_IF_MATCH:
            raise VersionRequired("Send If-Match with the ETag of what you read.")
        return None
    tags = parse_etags(header)
    if not tags:
        raise ValidationError({"If-Match": 'Must be *, or entity tags such as "v7".'})
    if "*" in tags:
        return None
    return frozenset(int(found[1]) for tag in tags if (found := _ETAG.fullmatch(tag)))


def has_it_already(request: Request, version: int) -> bool:
    """Whether `If-None-Match` names this version."""
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in tags or etag_of(version) in [tag.removeprefix("W/") for tag in tags]
