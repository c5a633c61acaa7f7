"""What every address of the API has in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar, TypedDict, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ListSerializer, Serializer
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from core.actors import Actor
from core.api import idempotency, versions
from core.api.authentication import actor_of
from core.api.filters import Filters, checked_filters, refuse_parameters
from core.api.pagination import NewestFirst
from core.api.schema import ApiSchema
from core.clock import utcnow
from core.errors import NotFound
from core.versions import at_version

Row = TypeVar("Row", bound=Model)


class By(TypedDict):
    """Who and when, as every service takes it."""

    actor: Actor
    now: dt.datetime


class ApiViewSet(GenericViewSet[Any]):
    """One kind of thing. Each method needs its scope in `scopes`, else tokens are refused."""

    scopes: ClassVar[Mapping[str, str]] = {}
    filters: ClassVar[type[Filters]] = Filters
    versioned: ClassVar[bool] = False  # its answers have an ETag, its changes honour If-Match
    stands_still: ClassVar[bool] = True  # so that a version says all of it, and 304 is possible
    about_more_than_one: ClassVar[tuple[str, ...]] = ("list",)
    filtered: ClassVar[tuple[str, ...]] = ("list",)  # the methods that read the address's parameters
    schema = ApiSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_parameters(request, all_unknown=self.action not in self.filtered)
        handler = getattr(self, "post", None)
        if request.method == "POST" and handler is not None and idempotency.HEADER in request.headers:
            self.post = partial(idempotency.answer_once, handler)

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def by(self) -> By:
        """`**self.by()` in a service call: where actor and time enter."""
        return {"actor": self.actor, "now": utcnow()}

    def body(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The request's body, checked; raises ValidationError."""
        read = serializer(data=self.request.data)
        read.is_valid(raise_exception=True)
        return dict(read.validated_data)

    def bodies(self, serializer: type[Serializer[Any]], *, limit: int = 1_000) -> list[dict[str, Any]]:
        """The request's body, one thing or a list of them, checked; raises ValidationError."""
        if not isinstance(self.request.data, list):
            return [self.body(serializer)]
        read: ListSerializer[Any] = ListSerializer(
            child=serializer(), data=self.request.data, allow_empty=False, max_length=limit
        )
        read.is_valid(raise_exception=True)
        return [dict(one) for one in read.validated_data]

    def unchanged(self, row: Model, *, after: Sequence[QuerySet[Any]] = ()) -> AbstractContextManager[None]:
        """Around a service's call: `row` must still be at a version that `If-Match` names, if sent."""
        rows = type(row)._default_manager.filter(pk=row.pk)
        return at_version(rows, versions.expected_versions(self.request), after=after)

    def show(
        self, row: Any, serializer: type[Serializer[Any]], *, status: int = 200, moves: bool = False
    ) -> Response:
        """One thing with its version as the ETag; 304 to a GET that names it in `If-None-Match`.

        `moves` says that something in the answer changes without a new version, such as a
        measurement: then the whole answer is sent.
        """
        headers = {"ETag": versions.etag_of(row.version)}
        reading = self.request.method in ("GET", "HEAD")
        if reading and not moves and versions.has_it_already(self.request, row.version):
            return Response(status=304, headers=headers)
        return Response(serializer(row).data, status=status, headers=headers)

    def parameters(self) -> dict[str, Any]:
        """The parameters of the address for what is no list of rows; raises ValidationError."""
        return dict(checked_filters(self.request, self).validated_data)

    def page(self, rows: QuerySet[Row], serializer: type[Serializer[Any]]) -> Response:
        """One page of `rows` after the view's filters."""
        found = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response(serializer(found, many=True).data)

    def whole(self, results: Any) -> Response:
        """A list that is always one page: it has no cursor, and `page_size` is checked all the same."""
        self.parameters()
        self.page_size()
        return Response({"next": None, "previous": None, "results": results})

    def page_size(self) -> int:
        """How many a list without a cursor is asked for; raises ValidationError."""
        if "cursor" in self.request.query_params:
            raise ValidationError({"cursor": "This is no cursor of this list."})
        return NewestFirst().get_page_size(self.request)

    def numbered(self, results: Any, number: int, *, has_more: bool) -> Response:
        """A page of a list whose order moves, so that it has pages by number (`page`) and no cursor."""

        def at(page: int) -> str:
            return replace_query_param(self.request.build_absolute_uri(), "page", page)

        following, before = (at(number + 1) if has_more else None), (at(number - 1) if number > 1 else None)
        return Response({"next": following, "previous": before, "results": results})


def command(
    *, takes: type[Serializer[Any]], answers: type[Serializer[Any]], url_path: str | None = None
) -> Callable[[Callable[..., Response]], Any]:
    """A verb below one thing: `POST …/{ref}/acknowledge/`."""

    def decorate(handler: Callable[..., Response]) -> Any:
        routed = action(detail=True, methods=["post"], url_path=url_path)(handler)
        return extend_schema(request=takes, responses=answers)(routed)

    return decorate


class UnknownAddress(APIView):
    """Every address below the API that is none."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("Nothing is at this address. Addresses end with a slash; /api/v1/docs/ lists them.")
