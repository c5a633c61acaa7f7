"""The ceiling as Firebreak's own config/asgi.py: ASGI outside, Django's WSGI application in as many threads."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.ceiling.settings"

from django.core.wsgi import get_wsgi_application

from core.bridge import Bridge

application = Bridge(get_wsgi_application(), threads=16)
