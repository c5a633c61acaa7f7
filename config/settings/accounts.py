"""How people sign in."""

from config.settings.base import env
from config.settings.security import BEHIND_TLS

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# How many usable API tokens an account may have by its page; the command line is not bound.
TOKENS_PER_ACCOUNT = env.int("TOKENS_PER_ACCOUNT", default=20)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_ADAPTER = "core.accounts.adapter.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {
    # Failures only. The address first: once it is spent, no further entries are made for its guesses.
    "login_failed": "50/5m/ip,10/5m/key",  # the key is account and address; of a code it is the account
    "login": "60/m/ip",
    "reauthenticate": "10/m/user",
}
ACCOUNT_REAUTHENTICATION_TIMEOUT = REAUTHENTICATE_AFTER_SECONDS = env.int(
    "REAUTHENTICATE_AFTER_SECONDS", default=900
)

# --- second factors -----------------------------------------------------------------------------
# Who needs one: "administrators" for everything, "approving" to approve, arm and settle a step.
MFA_REQUIRED_FOR = env.list("MFA_REQUIRED_FOR", default=["administrators", "approving"] if BEHIND_TLS else [])
MFA_ADAPTER = "core.accounts.mfa.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an administrator made the account, no address had to be proven
MFA_TOTP_ISSUER = "Firebreak"
MFA_TOTP_PERIOD = 30
MFA_TOTP_TOLERANCE = (
    1  # a phone's clock may be half a minute off; a code is still used once (core.accounts.mfa)
)
MFA_FORMS = {
    "authenticate": "core.accounts.mfa.AuthenticateForm",
    "reauthenticate": "core.accounts.mfa.ReauthenticateForm",
    "activate_totp": "core.accounts.mfa.EnrolTotpForm",
    "add_webauthn": "core.accounts.passkeys.EnrolForm",
    "authenticate_webauthn": "core.accounts.passkeys.AuthenticateForm",
    "reauthenticate_webauthn": "core.accounts.passkeys.ReauthenticateForm",
    "login_webauthn": "core.accounts.passkeys.LoginForm",
}

# --- sign-in through the organisation's identity provider (OpenID Connect); see docs/access.md ------
OIDC_ISSUER = env.str("OIDC_ISSUER", default="").rstrip("/")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_NAME = env.str("OIDC_NAME", default="Single sign-on")  # what the button says
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["openid", "profile", "email"])
OIDC_LEVEL_CLAIM = env.str("OIDC_LEVEL_CLAIM", default="")  # such as "groups"; empty: levels are given here
OIDC_LEVELS = env.dict("OIDC_LEVELS", default={})  # value of the claim=level: sre=responder,leads=commander
OIDC_SECOND_FACTOR = env.bool("OIDC_SECOND_FACTOR", default=False)  # the provider always asks for one
SOCIALACCOUNT_ADAPTER = "core.accounts.oidc.SocialAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # an e-mail address never opens an account
SOCIALACCOUNT_EMAIL_REQUIRED = False
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True  # before an account is linked or unlinked
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "core.accounts.oidc.Provider",
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}
