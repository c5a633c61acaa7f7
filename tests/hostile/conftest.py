"""Everybody who may, and rows so that addresses hit something."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from rest_framework.test import APIClient

from core.models import User
from incidents.models import Incident
from tests.hostile.doors import Doors
from tests.signing_in import sign_in


@pytest.fixture
def doors(incident: Incident) -> Doors:
    ida = User.objects.get(username="ida")
    ada = User.objects.create(username="ada", is_staff=True)
    ada.groups.add(Group.objects.get(name="administrator"))
    api, page, admin = APIClient(), Client(), Client()
    sign_in(api, ida)
    sign_in(page, ida)
    sign_in(admin, ada)
    for client in (api, page, admin):
        client.raise_request_exception = False  # a 500 is an answer here, to be found and shown
    return Doors(api, page, admin, incident)
