"""The API about itself: its schema, and the page that shows it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """OpenAPI 3.1, as JSON or YAML; made once by each process, because it takes a second."""

    made: ClassVar[dict[str, bytes]] = {}  # by media type: one entry for each renderer

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer: Any = request.accepted_renderer
        if renderer.media_type not in self.made:
            # Nothing of the request goes in: it is kept for everybody.
            schema = self.generator_class().get_schema(public=True)  # type: ignore[no-untyped-call]
            self.made[renderer.media_type] = renderer.render(schema, renderer.media_type, {})
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        return HttpResponse(self.made[renderer.media_type], content_type=f"{renderer.media_type}{charset}")


class DocsView(SpectacularSwaggerSplitView):
    """The schema as a page, under the same strict policy as every other page."""

    template_name = "api/docs.html"
