"""The ceiling behind the same bridge as Firebreak: ASGI outside, Django's WSGI application in threads."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.ceiling.settings"

from django.core.wsgi import get_wsgi_application

from core.bridge import Bridge

application = Bridge(get_wsgi_application(), threads=16)
