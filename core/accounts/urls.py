"""The addresses of access: ours first, then allauth's."""

from django.urls import include, path

from core.accounts import oidc
from core.accounts.views import reauthenticate_oidc

urlpatterns = [
    path("oidc/<slug:provider_id>/login/callback/", oidc.callback, name="openid_connect_callback"),
    path("reauthenticate/sso/", reauthenticate_oidc, name="reauthenticate_oidc"),
    path("", include("allauth.urls")),
]
