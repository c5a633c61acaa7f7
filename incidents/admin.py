"""This app in the admin: accounts with their roles, services, releases, monitors."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from pydantic import ValidationError

from core.accounts.sessions import actor_of_session
from core.admin import AccountAdmin, ConfigurationAdmin, LevelInline, ReadOnlyAdmin
from core.clock import utcnow
from core.models import User
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Monitor, Release, RoleGrant, Service
from incidents.playbook import Limits
from incidents.services.monitors import create_monitor, edit_monitor, remove_monitor
from incidents.services.services import create_service, edit_service
from incidents.sources import SOURCES
from incidents.states import Metric


class GrantInline(LevelInline):
    """The roles that an account may hold."""

    see_action = write_action = "administer"
    model = RoleGrant


@admin.register(User)
class AccountWithRolesAdmin(AccountAdmin):
    inlines = (GrantInline,)


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A service whose procedure is one of the playbook's."""

    procedure = forms.ChoiceField(required=False)

    class Meta:
        model = Service
        fields = ("slug", "name", "environment", "tier", "procedure", "auto_rollback", "public_name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        procedures = get_playbook()["procedures"]
        choices = [("", "None: no rollback"), *((key, procedures[key].name) for key in sorted(procedures))]
        self.fields["procedure"].choices = choices  # type: ignore[attr-defined]


@admin.register(Service)
class ServiceAdmin(ConfigurationAdmin):
    """Services; their stream of events stays, so they are not deleted."""

    deletable = False
    form = ServiceForm
    list_display = ("slug", "name", "environment", "tier", "procedure", "auto_rollback")
    list_filter = ("environment", "auto_rollback")
    search_fields = ("slug", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        by: dict[str, Any] = {"actor": actor_of_session(request), "now": utcnow()}
        if change:
            edit_service(service_id=obj.pk, changes=form.cleaned_data, **by)
            return
        made = create_service(**form.cleaned_data, **by)
        obj.__dict__.update(made.__dict__)


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ("service", "version", "state", "deployed_at", "good_at", "ended_at")
    list_filter = ("state", "service")
    list_select_related = ("service",)
    search_fields = ("version", "commit")


class MonitorForm(forms.ModelForm):  # type: ignore[type-arg]
    """A monitor whose source and thresholds mean something."""

    policy = forms.ChoiceField()

    class Meta:
        model = Monitor
        fields = (
            "service", "metric", "source", "interval_seconds", "thresholds", "policy",
            "on_monitoring_failure", "enabled",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].choices = [(key, key) for key in policy.thresholds().policies]  # type: ignore[attr-defined]

    def clean_source(self) -> dict[str, Any]:
        source = self.cleaned_data["source"]
        if not isinstance(source, dict) or source.get("type") not in SOURCES:
            raise forms.ValidationError(f'Needs a "type": {", ".join(SOURCES)}.')
        wrong = SOURCES[source["type"]][0](source)
        if wrong:
            raise forms.ValidationError([f"{name}: {text}" for name, text in wrong.items()])
        return source

    def clean_thresholds(self) -> dict[str, Any] | None:
        given = self.cleaned_data["thresholds"]
        if not given:
            return None
        try:
            Limits.model_validate(given)
        except ValidationError as error:
            raise forms.ValidationError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        return dict(given)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        known = data.get("metric", self.instance.metric) in Metric.values
        if not known and "thresholds" not in self.errors and not data.get("thresholds"):
            self.add_error("thresholds", "A metric that no policy knows needs thresholds of its own.")
        return data


@admin.register(Monitor)
class MonitorAdmin(ConfigurationAdmin):
    form = MonitorForm
    list_display = ("service", "metric", "level", "last_value", "checked_at", "interval_seconds", "enabled")
    list_filter = ("level", "enabled", "service")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Monitor]:
        return super().get_queryset(request).select_related("service")

    def get_readonly_fields(self, request: HttpRequest, obj: Monitor | None = None) -> tuple[str, ...]:
        return ("service", "metric", "level", "level_since", "checked_at", "last_error") if obj else ()

    def save_model(self, request: HttpRequest, obj: Monitor, form: Any, change: bool) -> None:
        by: dict[str, Any] = {"actor": actor_of_session(request), "now": utcnow()}
        if change:
            edit_monitor(monitor_id=obj.pk, changes=form.cleaned_data, **by)
            return
        values = form.cleaned_data | {"service": form.cleaned_data["service"].slug}
        made = create_monitor(**values, **by)
        obj.__dict__.update(made.__dict__)

    def delete_model(self, request: HttpRequest, obj: Monitor) -> None:
        remove_monitor(monitor_id=obj.pk, actor=actor_of_session(request), now=utcnow())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Monitor]) -> None:
        for monitor in queryset:
            self.delete_model(request, monitor)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Only the monitors are named: their samples may be millions."""
        return [str(monitor) for monitor in objs], {"monitors": len(objs)}, set(), []
