"""The addresses of the API about itself, and of its search."""

from django.urls import path

from core.api.documents import DocsView, SchemaView
from core.api.search import SearchViewSet

urlpatterns = [
    path("search/", SearchViewSet.as_view({"get": "find"}), name="search"),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("docs/", DocsView.as_view(url_name="api-schema"), name="api-docs"),
]
