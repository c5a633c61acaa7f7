"""Pages of lists: cursors, so that a page stays whole while rows are added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # at run time a circle: it reads the settings that name this module
    )

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class NewestFirst(CursorPagination):
    """`?cursor=&page_size=`; the first column of `ordering` is what the cursor remembers."""

    ordering: str | tuple[str, ...] = ("-id",)
    page_size = DEFAULT_PAGE_SIZE
    page_size_query_param = "page_size"
    page_size_query_description = f"Number of results, 1 to {MAX_PAGE_SIZE}."
    max_page_size = MAX_PAGE_SIZE

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, DjangoValidationError, DataError, ValueError, OverflowError) as error:
            if self.cursor_query_param not in request.query_params:
                raise
            raise ValidationError({self.cursor_query_param: "This is no cursor of this list."}) from error

    def get_page_size(self, request: Request) -> int:
        """Raises ValidationError outside 1 to 200, where the framework would silently choose."""
        text = request.query_params.get("page_size")
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_PAGE_SIZE):
            raise ValidationError({"page_size": f"Must be a whole number from 1 to {MAX_PAGE_SIZE}."})
        return int(text)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == "page_size":
                parameter["schema"] |= {
                    "minimum": 1,
                    "maximum": MAX_PAGE_SIZE,
                    "default": DEFAULT_PAGE_SIZE,
                }
        return parameters
