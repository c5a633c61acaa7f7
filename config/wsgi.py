"""Django's WSGI application, for development servers (`runserver`) alone.

The gate (core.gate) does not stand before it, and it has no live stream: serve `config.asgi`.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
