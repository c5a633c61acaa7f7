"""The API's addresses of this app, those below incidents included."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from rollbacks.api import drill_views, insight_views, views

router = SimpleRouter(use_regex_path=False)
router.register("rollbacks", views.RollbackViewSet)
router.register("incidents/<str:ref>/rollbacks", views.IncidentRollbackViewSet, "incident-rollback")
router.register("decisions", views.DecisionViewSet)
router.register("drills", drill_views.DrillViewSet)
router.register("procedures", views.ProcedureViewSet, "procedure")

STEP = "rollbacks/<str:ref>/steps/<int:position>"
urlpatterns = [
    path("drills/readiness/", drill_views.ReadinessViewSet.as_view({"get": "list"}), name="readiness"),
    path("drills/scenarios/", drill_views.ScenarioViewSet.as_view({"get": "list"}), name="scenarios"),
    path("", include(router.urls)),
    path(f"{STEP}/mark_done/", views.StepViewSet.as_view({"post": "mark_done"}), name="step-mark-done"),
    path(f"{STEP}/retry/", views.StepViewSet.as_view({"post": "retry"}), name="step-retry"),
    path(f"{STEP}/confirm/", views.StepViewSet.as_view({"post": "confirm"}), name="step-confirm"),
    path(f"{STEP}/abort/", views.StepViewSet.as_view({"post": "abort"}), name="step-abort"),
    path(f"{STEP}/output/", views.StepOutputViewSet.as_view({"get": "retrieve"}), name="step-output"),
    path("insights/", insight_views.InsightsViewSet.as_view({"get": "retrieve"}), name="insights"),
    path(
        "insights.csv", insight_views.InsightsSheetViewSet.as_view({"get": "retrieve"}), name="insights-sheet"
    ),
    path("automation/", views.AutomationViewSet.as_view({"get": "retrieve"}), name="automation"),
    path("automation/disarm/", views.AutomationViewSet.as_view({"post": "disarm"}), name="automation-disarm"),
    path("automation/arm/", views.AutomationViewSet.as_view({"post": "arm"}), name="automation-arm"),
]
