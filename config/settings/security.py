"""What protects the installation: the secret, hosts, cookies, headers, the Content-Security-Policy."""

from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from config.settings.base import PUBLIC_URL, VAR_DIR, env
from core.embedded import stack

# Without a SECRET_KEY the embedded stack's own generated one is used; production sets its own.
SECRET_KEY = env.str("SECRET_KEY", default="") or stack.secret_key(VAR_DIR)
DEBUG = env.bool("DEBUG", default=False)
BEHIND_TLS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", urlsplit(PUBLIC_URL).hostname or "localhost"]
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # a dead Redis must not sign people out
SESSION_COOKIE_AGE = 14 * 24 * 3600
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
SILENCED_SYSTEM_CHECKS = (
    # Plain HTTP on loopback is how `make run` works; PUBLIC_URL=https://… switches all of these on.
    [] if BEHIND_TLS else ["security.W004", "security.W008", "security.W012", "security.W016"]
)
