"""Addresses of Firebreak's own pages."""

from django.urls import path

from core.views import changes, search, system, tokens

app_name = "core"
urlpatterns = [
    path("search/", search.find, name="search"),
    path("system/", system.system, name="system"),
    path("system/banners/", system.banners, name="banners"),
    path("system/parked/retry/", system.RetryParked.as_view(), name="retry_parked"),
    path("system/processes/<int:pk>/forget/", system.ForgetProcess.as_view(), name="forget_process"),
    path("changes/", changes.changes, name="changes"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<slug:ident>/revoke/", tokens.revoke, name="revoke_token"),
]
