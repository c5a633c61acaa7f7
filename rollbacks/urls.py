"""Addresses of this app's pages."""

from django.urls import path

from rollbacks.views import drills, insights, pages, rollbacks

app_name = "rollbacks"
urlpatterns = [
    path("incidents/<slug:ref>/roll-back/", rollbacks.RequestRollback.as_view(), name="request"),
    path("rollbacks/<slug:ref>/", pages.rollback, name="rollback"),
    path("rollbacks/<slug:ref>/approve/", rollbacks.Approve.as_view(), name="approve"),
    path("rollbacks/<slug:ref>/reject/", rollbacks.Reject.as_view(), name="reject"),
    path("rollbacks/<slug:ref>/break_glass/", rollbacks.BreakGlass.as_view(), name="break_glass"),
    path("rollbacks/<slug:ref>/edit/", rollbacks.Edit.as_view(), name="edit"),
    path("rollbacks/<slug:ref>/cancel/", rollbacks.Cancel.as_view(), name="cancel"),
    path(
        "rollbacks/<slug:ref>/steps/<int:position>/mark_done/",
        rollbacks.MarkStepDone.as_view(),
        name="mark_done",
    ),
    path("rollbacks/<slug:ref>/steps/<int:position>/retry/", rollbacks.Retry.as_view(), name="retry"),
    path("rollbacks/<slug:ref>/steps/<int:position>/confirm/", rollbacks.Confirm.as_view(), name="confirm"),
    path("rollbacks/<slug:ref>/steps/<int:position>/abort/", rollbacks.Abort.as_view(), name="abort"),
    path("rollbacks/<slug:ref>/undo/", rollbacks.Undo.as_view(), name="undo"),
    path("rollbacks/<slug:ref>/hand_over/", rollbacks.HandOver.as_view(), name="hand_over"),
    path("rollbacks/<slug:ref>/judge/", rollbacks.Judge.as_view(), name="judge"),
    path("drills/", drills.drills, name="drills"),
    path("drills/new/", drills.PlanDrill.as_view(), name="plan_drill"),
    path("drills/<int:pk>/", drills.drill, name="drill"),
    path("drills/<int:pk>/start/", drills.StartDrill.as_view(), name="start_drill"),
    path("drills/<int:pk>/cancel/", drills.CancelDrill.as_view(), name="cancel_drill"),
    path("drills/<int:pk>/finish/", drills.FinishDrill.as_view(), name="finish_drill"),
    path("drills/<int:pk>/debrief/", drills.DebriefDrill.as_view(), name="debrief_drill"),
    path("insights/", insights.insights, name="insights"),
    path("insights/<slug:figure>/", insights.behind, name="behind"),
    path("automation/", rollbacks.Automation.as_view(), name="automation"),
]
