"""The door of every command on a page: a form, one call of a service, and the answer in the right shape."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.views import View

from core import problem
from core.access import require
from core.accounts.proving import prove_first, unfinished
from core.accounts.sessions import actor_of_session
from core.actors import Actor
from core.assurance import ReauthenticationRequired, SecondFactorRequired, current_assurance, doubt_about
from core.clock import utcnow
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed, NotFound

REFUSED_FORM = 422


class CommandView(View):
    """GET shows the form, POST runs the command and redirects.

    What was refused comes back as the form with its errors: 422 for wrong input, else the error's
    own status. A dialog that htmx posts gets 422 for all of these, so that it is shown in place; a
    form that htmx posts outside a dialog gets problem JSON to show as a notice.
    """

    template_name = "parts/form_page.html"
    form_class: type[forms.Form] = forms.Form
    title: ClassVar[str] = ""
    submit_label: ClassVar[str] = ""
    danger: ClassVar[bool] = False
    decides: bool = False  # a decision that asks for assurance: the person is led to it before the form
    actor: Actor

    def load(self, **kwargs: str) -> None:
        """Find what the address names; raises NotFound."""

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        """Call the service; returns what to tell the person."""
        raise NotImplementedError

    def back_url(self) -> str:
        """Where the person came from, and goes when it is done."""
        raise NotImplementedError

    def action_url(self) -> str:
        """Where the form is sent."""
        return self.request.path

    def form_arguments(self) -> dict[str, Any]:
        """What the form's constructor needs besides the data."""
        return {}

    def extra_context(self) -> dict[str, Any]:
        """What the template shows besides the form, such as `intro` and `consequences`."""
        return {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: str) -> HttpResponseBase:
        self.actor = actor_of_session(request)
        try:
            require(self.actor, "read")
            self.load(**kwargs)
        except NotFound as error:
            raise Http404(error.message) from error
        except NotAllowed as error:
            raise PermissionDenied(error.message) from error
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        doubt = doubt_about(self.actor, current_assurance(), utcnow()) if self.decides else None
        if doubt:
            return prove_first(request, doubt)
        arguments = self.form_arguments()
        arguments["initial"] = arguments.get("initial", {}) | unfinished(request)
        return self._show(self.form_class(**arguments), status=200)

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        form = self.form_class(request.POST, **self.form_arguments())
        if not form.is_valid():
            if getattr(form, "conflicts", ()):
                return self._refused(form, Conflict.status, Conflict.code)
            return self._refused(form, REFUSED_FORM, Invalid.code)
        try:
            said = self.run(form.cleaned_data, utcnow())
        except Invalid as error:
            add_errors(form, error)
            return self._refused(form, REFUSED_FORM, error.code)
        except (SecondFactorRequired, ReauthenticationRequired) as doubt:
            return prove_first(request, doubt)
        except FirebreakError as error:
            add_errors(form, error)
            return self._refused(form, error.status, error.code)
        return self.done(said)

    def done(self, said: str) -> HttpResponse:
        """The answer to a command that ran."""
        messages.success(self.request, said)
        return HttpResponseRedirect(self.back_url())

    def _refused(self, form: forms.Form, status: int, code: str) -> HttpResponse:
        htmx = self.request.htmx  # type: ignore[attr-defined]
        if htmx and htmx.target == "dialog-content":
            return self._show(form, status=REFUSED_FORM)
        if htmx:
            said = " ".join(str(text) for texts in form.errors.values() for text in texts)
            return problem.answer(400 if status == REFUSED_FORM else status, code, said)
        return self._show(form, status=status)

    def _show(self, form: forms.Form, *, status: int) -> HttpResponse:
        context = {
            "title": self.title,
            "form": form,
            "action_url": self.action_url(),
            "back_url": self.back_url(),
            "submit_label": self.submit_label or self.title,
            "danger": self.danger,
            **self.extra_context(),
        }
        return render(self.request, self.template_name, context, status=status)


def add_errors(form: forms.Form, error: FirebreakError) -> None:
    """Say what was refused beside the field it names, else above the form."""
    fields = error.fields if isinstance(error, Invalid) else {"": error.message}
    for name, text in fields.items():
        field = name.replace("/", "_")
        form.add_error(field if field in form.fields else None, text)
