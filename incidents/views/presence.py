"""The address at which an open page says that somebody looks at it."""

from __future__ import annotations

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from core import problem
from core.accounts.sessions import actor_of_session
from core.clock import utcnow
from core.errors import Invalid, NotAllowed, NotFound
from incidents.selectors.presence import DOING
from incidents.services.presence import say_gone, say_here


class HereForm(forms.Form):
    """What the person does on the page; `gone` when they leave it."""

    doing = forms.ChoiceField(choices=[(key, key) for key in DOING], required=False)
    gone = forms.BooleanField(required=False)


@require_POST
def here(request: HttpRequest, ref: str) -> HttpResponse:
    """204; asked every twenty seconds by presence.js."""
    actor, form = actor_of_session(request), HereForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid({name: str(said[0]) for name, said in form.errors.items()})
        if form.cleaned_data["gone"]:
            say_gone(ref=ref, actor=actor, now=utcnow())
        else:
            say_here(ref=ref, actor=actor, now=utcnow(), doing=form.cleaned_data["doing"])
    except Invalid as error:
        return problem.answer(422, error.code, "Nobody knows what that is.")
    except NotFound as error:
        raise Http404(error.message) from error
    except NotAllowed as error:
        raise PermissionDenied(error.message) from error
    return HttpResponse(status=204)
