"""Every address; nested routes belong to the app on the right."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path

from core.accounts.pages import too_many
from core.api.views import UnknownAddress
from incidents.api.ingest_views import EventViewSet

admin.site.site_header = admin.site.site_title = "Firebreak"
admin.site.index_title = "Administration"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
handler429 = too_many  # allauth asks for it by this name

api = [
    path("", include("core.api.urls")),
    path("", include("incidents.api.urls")),
    path("", include("rollbacks.api.urls")),
    path("", include("comms.api.urls")),
]
urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("core.accounts.urls")),
    path("api/v1/", include(api)),
    re_path(r"^api/", UnknownAddress.as_view()),
    # PagerDuty's own addresses, so that a sender changes the host alone.
    path("v2/enqueue", EventViewSet.as_view({"post": "create"}), name="pagerduty-enqueue"),
    path("v2/change/enqueue", EventViewSet.as_view({"post": "change"}), name="pagerduty-change"),
    path("", include("core.urls")),
    path("", include("incidents.urls")),
    path("", include("rollbacks.urls")),
    path("", include("comms.urls")),
]

handler400 = "core.views.errors.bad_request"
handler403 = "core.views.errors.not_allowed"
handler404 = "core.views.errors.not_found"
handler500 = "core.views.errors.broken"
