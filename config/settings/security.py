"""What protects the installation: the secret, hosts, cookies, headers, the Content-Security-Policy."""

from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from config.settings.base import PUBLIC_URL, VAR_DIR, env
from core.embedded import stack

# Without a SECRET_KEY the embedded stack's own generated one is used; production sets its own.
SECRET_KEY = env.str("SECRET_KEY", default="") or stack.secret_key(VAR_DIR)
DEBUG = env.bool("DEBUG", default=False)
BEHIND_TLS = PUBLIC_URL.startswith("https://")
# Secrets at rest: the first key seals, all open. Production sets its own, see core.accounts.checks.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[]) or (
    [] if BEHIND_TLS else [stack.encryption_key(VAR_DIR)]
)
# How many proxies of ours stand before the web process: their X-Forwarded-For is believed, no more.
NUM_PROXIES = env.int("NUM_PROXIES", default=0)
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", urlsplit(PUBLIC_URL).hostname or "localhost"]
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
# Programs are refused over plain HTTP, not redirected (core.middleware); probes come from this machine.
SECURE_REDIRECT_EXEMPT = [r"^(api|v2)/", r"^(healthz|readyz|metrics)$"]
if BEHIND_TLS:  # a __Host- cookie comes from this host alone, over TLS alone
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
CSRF_FAILURE_VIEW = "core.views.errors.without_csrf"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "core.accounts.session_store"  # in the database: a dead Redis must not sign people out
# From the sign-in on, however busy: on call for a week without signing in twice. ASVS 7.3.2.
SESSION_COOKIE_AGE = SESSION_MAX_AGE_SECONDS = env.int("SESSION_MAX_AGE_SECONDS", default=7 * 24 * 3600)
_issuer = urlsplit(env.str("OIDC_ISSUER", default=""))
OIDC_ORIGIN = [f"{_issuer.scheme}://{_issuer.netloc}"] if _issuer.netloc else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # The sign-in form of the identity provider is a redirect to it.
        "form-action": [SELF, *env.list("OIDC_FORM_ORIGINS", default=[]), *OIDC_ORIGIN],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
SILENCED_SYSTEM_CHECKS = (
    # Plain HTTP on loopback is how `make run` works; PUBLIC_URL=https://… switches all of these on.
    [] if BEHIND_TLS else ["security.W004", "security.W008", "security.W012", "security.W016"]
)
