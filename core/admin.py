"""The admin's ground: who may do what there, accounts, tokens, and the timeline to read."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet, CheckboxSelectMultiple
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from core.access import may
from core.accounts.proving import lead_to_proof
from core.accounts.sessions import actor_of_session
from core.assurance import ReauthenticationRequired, SecondFactorRequired
from core.careful_forms import CarefulModelForm, mark, read_marks
from core.clock import utcnow
from core.forms import Line, StrictJSONField, Text
from core.models import ApiToken, Event, PendingEvent, User
from core.selectors.changes import list_changes_of
from core.services.second_factors import remove_second_factors
from core.services.tokens import revoke_token

admin.site.unregister(Group)  # the groups are the account levels, made by a migration
# allauth's tables show secrets, or configure what the environment does, and know nothing of account levels.
# Read first, so that they are there: autodiscovery does not read them again.
for _app in ("account", "mfa", "socialaccount", "usersessions"):
    import_module(f"allauth.{_app}.admin")
for _model in [model for model in admin.site._registry if model.__module__.startswith("allauth.")]:
    admin.site.unregister(_model)


def allowed(request: HttpRequest, action: str) -> bool:
    """Whether the signed-in staff member's level allows `action` (see core.access)."""
    return isinstance(request.user, User) and may(actor_of_session(request), action)


class LevelMixin:
    """The account level decides what staff may see and change, not Django's permissions per table.

    Texts and JSON obey the same rules as in the API.
    """

    formfield_overrides: ClassVar[dict[Any, Any]] = {
        models.CharField: {"form_class": Line},
        models.TextField: {"form_class": Text},
        models.JSONField: {"form_class": StrictJSONField},
        models.EmailField: {},  # these two have stricter rules of their own
        models.URLField: {},
    }
    see_action: ClassVar[str] = "configure"
    write_action: ClassVar[str | None] = "configure"
    deletable: ClassVar[bool] = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request, self.see_action)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.write_action is not None and allowed(request, self.write_action)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.deletable and self.has_change_permission(request, obj)


class CarefulMixin:
    """The form of a row carries what the person saw: what somebody else changed since is not overwritten."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None or not self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            return super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        own = kwargs.get("form") or self.form  # type: ignore[attr-defined]

        def who_changed(_form: Any, name: str) -> str:
            lines = list_changes_of(actor_of_session(request), obj).lines
            of_it = (line.who for line in lines if any(column == name for column, *_values in line.values))
            return next(of_it, "") or "somebody"

        careful = type(own)(own.__name__, (CarefulModelForm, own), {"who_changed": who_changed})
        return super().get_form(request, obj, change=change, **(kwargs | {"form": careful}))  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)  # type: ignore[misc]
        if obj is None or not self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            return found
        return [
            (name, {**options, "fields": _without_seen(options["fields"])}) for name, options in found
        ] + [(None, {"fields": ("seen",)})]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Only what the form changed: the other columns may be newer than the row that was read."""
        if not change:
            super().save_model(request, obj, form, change)  # type: ignore[misc]
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        changed = [name for name in form.changed_data if name in columns and name not in form.untouched]
        obj.save(update_fields=changed)


def _without_seen(names: Any) -> tuple[Any, ...]:
    return tuple(name for name in names if name != "seen")


class LevelAdmin(CarefulMixin, LevelMixin, admin.ModelAdmin):  # type: ignore[type-arg,misc]
    """A table of the admin under the rule of account levels."""


class HistoryMixin:
    """The history page of a thing is the history of configuration: every change, not only the admin's own."""

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if found is None:
            raise Http404("There is no such thing any more: see the page Changes.")
        if not self.has_view_permission(request, found):  # type: ignore[attr-defined]
            raise PermissionDenied
        assert isinstance(request.user, User)
        page = list_changes_of(actor_of_session(request), found, before=request.GET.get("before", ""))
        context = {
            **admin.site.each_context(request),
            "title": f"History of {found}",
            "opts": found._meta,
            "object": found,
            "lines": page.lines,
            "next_url": f"?{urlencode({'before': page.before})}" if page.before else None,
        }
        return TemplateResponse(request, "admin/core/history.html", context)


class ConfigurationAdmin(HistoryMixin, LevelAdmin):  # type: ignore[misc]
    """What is configured here, with its history."""


class LabelledFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """Says what each field is: in a table the label stands only at the head of its column."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for name, field in form.fields.items():
            field.widget.attrs.setdefault("aria-label", str(field.label or name))


class CarefulRowForm(CarefulModelForm, forms.ModelForm):  # type: ignore[type-arg]
    """A row among others of a form: each carries what the person saw of it."""

    def watched(self) -> list[str]:
        known = [name for name in super().watched() if name != DELETION_FIELD_NAME]
        return [name for name in known if not self.fields[name].widget.is_hidden]


class CarefulFormSet(LabelledFormSet):
    """Rows that others may change meanwhile: none is deleted unseen either."""

    def clean(self) -> None:
        super().clean()
        form: Any
        for form in self.deleted_forms:
            seen, now = read_marks(self.data.get(form.add_prefix("seen"), "")), form.look_again()
            if any(mark(value) != seen[name] for name, value in now.items() if name in seen):
                form.data = form.seen_now(now)
                raise ValidationError(
                    f"Meanwhile somebody changed {form.instance}. Delete it again if you still mean it."
                )


class LevelInline(LevelMixin, admin.TabularInline):  # type: ignore[type-arg,misc]
    """Rows of another table under the rule of account levels."""

    extra = 0
    form: type[forms.ModelForm] = CarefulRowForm  # type: ignore[type-arg]
    formset: type[LabelledFormSet] = CarefulFormSet


class ReadOnlyAdmin(LevelAdmin):
    """What happened is read here, never changed."""

    write_action = None
    show_full_result_count = False


class ReadOnlyInline(LevelInline):
    """Rows of another table, to read."""

    form = forms.ModelForm
    formset = LabelledFormSet
    write_action = None


_ACCESS = "The groups are the account levels; the highest counts. Staff may enter this admin."


class AccountAdmin(HistoryMixin, CarefulMixin, LevelMixin, UserAdmin):  # type: ignore[type-arg]
    """Accounts: made by administrators, switched off rather than deleted."""

    see_action = write_action = "administer"
    deletable = False
    list_display = ("username", "email", "levels", "is_active", "is_staff", "last_login")
    list_filter = ("groups", "is_active", "is_staff")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "groups"), "description": _ACCESS}),
        ("Seen", {"fields": ("last_login", "date_joined")}),
    )  # fmt: skip
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    formfield_overrides: ClassVar[dict[Any, Any]] = {
        **LevelMixin.formfield_overrides,
        models.ManyToManyField: {"widget": CheckboxSelectMultiple},  # five levels
    }
    actions = ("remove_second_factors",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.action(description="Remove second factors (lost phone and codes)", permissions=["change"])
    def remove_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        actor, now = actor_of_session(request), utcnow()
        names = list(queryset.values_list("username", flat=True))
        try:
            with transaction.atomic():
                removed = sum(remove_second_factors(username=name, actor=actor, now=now) for name in names)
        except (SecondFactorRequired, ReauthenticationRequired) as doubt:
            self.message_user(
                request, f"{doubt.message} Nothing was removed yet: choose it again after that."
            )
            return lead_to_proof(request, doubt)
        self.message_user(request, f"{removed} second factor(s) removed; those accounts are signed out.")
        return None

    @admin.display(description="level")
    def levels(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "none"


@admin.register(ApiToken)
class TokenAdmin(ConfigurationAdmin):
    """Everybody makes their own on the page API tokens, which shows the secret once; here they end."""

    see_action = write_action = "administer"
    deletable = False
    list_display = ("name", "id", "user", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "id", "user__username")
    readonly_fields = (
        "id",
        "user",
        "name",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        assert isinstance(request.user, User)
        actor, now = actor_of_session(request), utcnow()
        usable = list(queryset.filter(revoked_at__isnull=True).values_list("pk", flat=True))
        for token_id in usable:
            revoke_token(token_id=token_id, actor=actor, now=now)
        self.message_user(request, f"{len(usable)} token(s) revoked.")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Of every stream, also of what is restricted."""

    see_action = "see_restricted"
    list_display = ("recorded_at", "stream", "seq", "kind", "actor", "summary")
    list_filter = ("stream__kind",)
    list_select_related = ("stream",)
    search_fields = ("stream__name", "kind", "summary")
    exclude = ("canonical",)


@admin.register(PendingEvent)
class PendingEventAdmin(ReadOnlyAdmin):
    """Of every stream, also of what is restricted."""

    see_action = "see_restricted"
    list_display = ("event", "consumer", "attempts", "due_at", "parked_at", "last_error")
    list_filter = ("consumer", ("parked_at", admin.EmptyFieldListFilter))
    list_select_related = ("event",)
