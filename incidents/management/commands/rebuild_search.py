"""`manage.py rebuild_search`: make anew what the search knows of every incident."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from core.clock import utcnow
from incidents.models import Incident
from incidents.services.searching import make_documents

AT_ONCE = 500


class Command(BaseCommand):
    """While it runs, what is there already is found."""

    help = "Make the documents of the full text search anew. The sweep does so by itself; this does not wait."

    def handle(self, *args: Any, **options: Any) -> None:
        made, last = 0, 0
        while ids := list(
            Incident.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
        ):
            made, last = made + make_documents(ids, now=utcnow()), ids[-1]
        self.stdout.write(f"{made} incidents made anew")
