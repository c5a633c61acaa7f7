"""Every address; nested routes belong to the app on the right."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Firebreak"
admin.site.index_title = "Administration"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

api = [
    path("", include("core.api.urls")),
    path("", include("incidents.api.urls")),
    path("", include("rollbacks.api.urls")),
    path("", include("comms.api.urls")),
]
urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.account.urls")),
    path("api/v1/", include(api)),
    path("", include("incidents.urls")),
    path("", include("rollbacks.urls")),
    path("", include("comms.urls")),
]
