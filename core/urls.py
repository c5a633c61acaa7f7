"""Addresses of the foundation's own pages."""

from django.urls import path

from core.views import changes, tokens

app_name = "core"
urlpatterns = [
    path("changes/", changes.changes, name="changes"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<slug:ident>/revoke/", tokens.revoke, name="revoke_token"),
]
