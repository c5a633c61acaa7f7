"""The API's addresses of this app."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from incidents.api import action_item_views as on_action_items
from incidents.api import alert_views as on_alerts
from incidents.api import document_views as on_documents
from incidents.api import guidance_views as on_guidance
from incidents.api import incident_views as on_incidents
from incidents.api import ingest_views as on_ingest
from incidents.api import report_views as on_reports
from incidents.api import review_views as on_reviews
from incidents.api import service_views as on_services
from incidents.api import work_views as on_work

router = SimpleRouter(use_regex_path=False)
router.register("incidents", on_incidents.IncidentViewSet)
router.register("incidents/<str:ref>/responders", on_incidents.ResponderViewSet, "incident-responder")
router.register("incidents/<str:ref>/timeline", on_incidents.TimelineViewSet, "incident-event")
router.register("incidents/<str:ref>/tasks", on_work.TaskViewSet, "incident-task")
router.register("incidents/<str:ref>/evidence", on_work.EvidenceViewSet, "incident-evidence")
router.register("services", on_services.ServiceViewSet)
router.register("services/<str:slug>/releases", on_services.ReleaseViewSet, "service-release")
router.register("monitors", on_services.MonitorViewSet)
router.register("monitors/<int:pk>/samples", on_services.SampleViewSet, "monitor-sample")
router.register("monitors/<int:pk>/rollups", on_services.RollupViewSet, "monitor-rollup")
router.register("action-items", on_action_items.ActionItemViewSet, "action-item")
router.register("reviews", on_reviews.ReviewViewSet)
router.register("documents", on_reviews.DocumentViewSet)
router.register("training", on_reviews.TrainingViewSet)
router.register("alerts", on_alerts.AlertViewSet)
router.register("silences", on_alerts.SilenceViewSet)
router.register("maintenance-windows", on_alerts.WindowViewSet, "maintenance-window")
router.register("reports", on_reports.ReportListViewSet, "report")
router.register("ingest/deliveries", on_ingest.InboundViewSet, "inbound")

RELEASE = "services/<str:slug>/releases/<path:version>"  # a version may hold slashes
REPORT = "incidents/<str:ref>/report"
REPORT_VERBS = {
    "submit": "submit", "return": "send_back", "publish": "publish", "revise": "revise", "assign": "assign",
}  # fmt: skip
EVIDENCE = "incidents/<str:ref>/evidence/<int:pk>"
urlpatterns = [
    path(
        "reviews/upcoming/",
        on_reviews.UpcomingReviewViewSet.as_view({"get": "list"}),
        name="upcoming-reviews",
    ),
    path(
        "training/matrix/",
        on_reviews.TrainingMatrixViewSet.as_view({"get": "retrieve"}),
        name="training-matrix",
    ),
    path("", include(router.urls)),
    path(
        "ingest/alertmanager/",
        on_ingest.AlertmanagerViewSet.as_view({"post": "create"}),
        name="ingest-alertmanager",
    ),
    path(
        "ingest/deliveries/<int:pk>/retry/",
        on_ingest.InboundViewSet.as_view({"post": "retry"}),
        name="inbound-retry",
    ),
    path(
        "incidents/<str:ref>/roles/<str:role>/",
        on_incidents.RoleViewSet.as_view({"put": "assign", "delete": "release"}),
        name="incident-role",
    ),
    path(
        "incidents/<str:ref>/retrospective/",
        on_reviews.RetrospectiveViewSet.as_view({"post": "create"}),
        name="retrospective",
    ),
    path(
        "incidents/<str:ref>/similar/",
        on_documents.SimilarViewSet.as_view({"get": "retrieve"}),
        name="incident-similar",
    ),
    path(
        "incidents/<str:ref>/export.json",
        on_documents.ExportViewSet.as_view({"get": "retrieve"}),
        name="incident-export",
    ),
    path(
        f"{REPORT}/",
        on_reports.ReportViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="incident-report",
    ),
    *(
        path(
            f"{REPORT}/{verb}/",
            on_reports.ReportViewSet.as_view({"post": method}),
            name=f"incident-report-{verb}",
        )
        for verb, method in REPORT_VERBS.items()
    ),
    path(
        f"{REPORT}/timeline/<int:seq>/",
        on_reports.ReportViewSet.as_view({"put": "edit_row"}),
        name="incident-report-row",
    ),
    path(
        "incidents/<str:ref>/report.md",
        on_documents.ReportMarkdownViewSet.as_view({"get": "retrieve"}),
        name="incident-report-markdown",
    ),
    path(
        "incidents/<str:ref>/report.pdf",
        on_documents.ReportPdfViewSet.as_view({"get": "retrieve"}),
        name="incident-report-pdf",
    ),
    path(
        f"{REPORT}/revisions/<int:number>/report.md",
        on_documents.ReportMarkdownViewSet.as_view({"get": "revision"}),
        name="incident-report-revision-markdown",
    ),
    path(
        f"{REPORT}/revisions/<int:number>/report.pdf",
        on_documents.ReportPdfViewSet.as_view({"get": "revision"}),
        name="incident-report-revision-pdf",
    ),
    path(
        "incidents/<str:ref>/checklists/",
        on_guidance.ChecklistViewSet.as_view({"get": "list"}),
        name="incident-checklists",
    ),
    path(
        "incidents/<str:ref>/checklists/<str:key>/items/<str:item>/tick/",
        on_guidance.ChecklistViewSet.as_view({"post": "tick"}),
        name="incident-tick",
    ),
    path(
        "incidents/<str:ref>/checklists/<str:key>/items/<str:item>/untick/",
        on_guidance.ChecklistViewSet.as_view({"post": "untick"}),
        name="incident-untick",
    ),
    path(
        "incidents/<str:ref>/checklists/<str:key>/items/<str:item>/assign/",
        on_guidance.ChecklistViewSet.as_view({"post": "assign"}),
        name="incident-assign-item",
    ),
    path(
        "incidents/<str:ref>/criteria/",
        on_guidance.CriteriaViewSet.as_view({"post": "create"}),
        name="incident-criteria",
    ),
    path(
        f"{EVIDENCE}/",
        on_work.EvidenceItemViewSet.as_view({"get": "retrieve"}),
        name="evidence",
    ),
    path(
        f"{EVIDENCE}/content/",
        on_work.EvidenceItemViewSet.as_view({"get": "content"}),
        name="evidence-content",
    ),
    path(
        f"{EVIDENCE}/withdraw/",
        on_work.EvidenceItemViewSet.as_view({"post": "withdraw"}),
        name="evidence-withdraw",
    ),
    path(
        f"{RELEASE}/quarantine/",
        on_services.ReleaseViewSet.as_view({"post": "quarantine"}),
        name="release-quarantine",
    ),
    path(
        f"{RELEASE}/lift_quarantine/",
        on_services.ReleaseViewSet.as_view({"post": "lift_quarantine"}),
        name="release-lift-quarantine",
    ),
]
