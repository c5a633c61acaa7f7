"""The REST API and its schema."""

from config.settings.base import env
from config.settings.security import NUM_PROXIES

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.api.authentication.BearerAuthentication",
        "core.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["core.api.permissions.ScopedAccess"],
    "DEFAULT_THROTTLE_CLASSES": ["core.api.throttling.RateLimit"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.StrictJSONParser"],
    "DEFAULT_METADATA_CLASS": None,  # no OPTIONS: the schema says it all
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "core.api.pagination.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["core.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.api.problems.handle",
    "NUM_PROXIES": NUM_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Firebreak",
    "VERSION": "1",
    "DESCRIPTION": "Incident command with safe rollback.",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "IncidentKindEnum": "incidents.states.IncidentKind",
        "ActionItemKindEnum": "incidents.states.ActionItemKind",
        "ContactKindEnum": "comms.models.contacts.ContactKind",
        "StepKindEnum": "rollbacks.playbook.STEP_KINDS",
        "ReportStateEnum": "incidents.states.ReportState",
        "QuietStateEnum": "incidents.states.QUIET_STATES",
        "AudienceEnum": "incidents.states.AUDIENCES",
        "TemplateEnum": "comms.states.Template",
        "TemplateByHandEnum": "comms.api.serializers.BY_HAND_CHOICES",
        "MeansEnum": "comms.states.Means",
        "MessageStateEnum": "comms.states.MessageState",
        "MessageVisibilityEnum": "comms.states.Visibility",
        "DeliveryStateEnum": "comms.states.DeliveryState",
        "ComponentStateEnum": "comms.states.ComponentState",
        "ReviewStateEnum": "incidents.states.ReviewState",
        "DocumentOutcomeEnum": "incidents.states.DocumentOutcome",
        "DocumentStateEnum": "incidents.api.review_serializers.DOCUMENT_STATES",
        "TrainingStateEnum": "incidents.api.review_serializers.TRAINING_STATES",
        "WebhookStateEnum": "comms.api.webhook_serializers.STATES",
        "DrillStateEnum": "rollbacks.states.DrillState",
        "DrillActionEnum": "rollbacks.states.DrillAction",
        "DrillResultEnum": "rollbacks.states.DrillResult",
        "PublicStatusEnum": "comms.states.PublicStatus",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "core.api.problems.describe_problems",
    ],
}

# Refuse a PATCH without If-Match (428), so that nobody overwrites what they have not read.
API_REQUIRE_IF_MATCH = env.bool("API_REQUIRE_IF_MATCH", default=False)

# So many deliveries of alerts may wait to be looked into; more are refused (503, 429) until some are done.
INGEST_MOST_WAITING = env.int("INGEST_MOST_WAITING", default=20_000)
# What a request may hold where it is not DATA_UPLOAD_MAX_MEMORY_SIZE: by address, in bytes.
BODY_LIMITS = {
    "/api/v1/ingest/alertmanager/": 5_242_880,
    "/v2/enqueue": 512_000,
    "/v2/change/enqueue": 512_000,
}
# Evidence: the bytes of one file, how many an incident may have, and how many larger than
# DATA_UPLOAD_MAX_MEMORY_SIZE one web process takes in at once.
EVIDENCE_MAX_BYTES = env.int("EVIDENCE_MAX_BYTES", default=10_485_760)
EVIDENCE_MAX_PER_INCIDENT = env.int("EVIDENCE_MAX_PER_INCIDENT", default=100)
UPLOADS_AT_ONCE = env.int("UPLOADS_AT_ONCE", default=4)
FILE_UPLOAD_MAX_MEMORY_SIZE = EVIDENCE_MAX_BYTES + 65_536  # no stranger's file is written to a disk
# Where a form with files may hold more: pattern of the whole address, bytes with the form around the file.
UPLOADS = (
    (r"/api/v1/incidents/[^/]+/evidence/", EVIDENCE_MAX_BYTES + 65_536),
    (r"/incidents/[^/]+/evidence/", EVIDENCE_MAX_BYTES + 65_536),
)

# Requests a minute, over all processes; 0 is no limit.
API_RATES = {
    "read": env.int("API_RATE_READ", default=12_000),  # GET, for each token or account
    "write": env.int("API_RATE_WRITE", default=3_000),  # everything else, likewise
    "ingest": env.int("API_RATE_INGEST", default=60_000),  # deliveries of alerts, for each token
    "anonymous": env.int("API_RATE_ANONYMOUS", default=120),  # without credentials, for each address
    "subscribe": env.int("API_RATE_SUBSCRIBE", default=10),  # subscriptions asked for, for each address
    "refused": env.int("API_RATE_REFUSED", default=30),  # wrong tokens, for each address
}
