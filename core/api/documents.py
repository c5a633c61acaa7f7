"""The API about itself: its schema, and the page that shows it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """OpenAPI 3.1, as JSON or YAML; made once by each process, because it takes a second."""

    made: ClassVar[dict[str, tuple[bytes, str]]] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        media_type = request.accepted_media_type or ""
        if media_type not in self.made:
            answer = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
            self.finalize_response(request, answer)
            answer.render()
            self.made[media_type] = answer.content, answer["Content-Type"]
        content, content_type = self.made[media_type]
        return HttpResponse(content, content_type=content_type)


class DocsView(SpectacularSwaggerSplitView):
    """The schema as a page, under the same strict policy as every other page."""

    template_name = "api/docs.html"
