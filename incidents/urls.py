"""Addresses of this app's pages."""

from django.urls import path

from incidents.views import alerts, documents, evidence, incidents, pages, presence, releases, tasks

app_name = "incidents"
urlpatterns = [
    path("", pages.now, name="now"),
    path("search/services/", pages.offered_services, name="offered_services"),
    path("services/", pages.services, name="services"),
    path("services/<slug:slug>/", pages.service, name="service"),
    path(
        "services/<slug:slug>/releases/<path:version>/quarantine/",
        releases.Quarantine.as_view(),
        name="quarantine",
    ),
    path(
        "services/<slug:slug>/releases/<path:version>/lift_quarantine/",
        releases.LiftQuarantine.as_view(),
        name="lift_quarantine",
    ),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/retry/", alerts.RetryDeliveries.as_view(), name="retry_deliveries"),
    path("silences/", alerts.silences, name="silences"),
    path("silences/new/", alerts.NewSilence.as_view(), name="new_silence"),
    path("silences/<int:pk>/end/", alerts.EndSilence.as_view(), name="end_silence"),
    path("maintenance/", alerts.maintenance, name="maintenance"),
    path("maintenance/new/", alerts.NewMaintenance.as_view(), name="new_maintenance"),
    path("maintenance/<int:pk>/end/", alerts.EndMaintenance.as_view(), name="end_maintenance"),
    path("incidents/", pages.incidents, name="incidents"),
    path("incidents/declare/", incidents.Declare.as_view(), name="declare"),
    path("incidents/<slug:ref>/", pages.incident, name="incident"),
    path("incidents/<slug:ref>/export.json", documents.export, name="export"),
    path("incidents/<slug:ref>/here/", presence.here, name="here"),
    path("incidents/<slug:ref>/acknowledge/", incidents.Acknowledge.as_view(), name="acknowledge"),
    path("incidents/<slug:ref>/edit/", incidents.Edit.as_view(), name="edit"),
    path("incidents/<slug:ref>/escalate/", incidents.Escalate.as_view(), name="escalate"),
    path("incidents/<slug:ref>/update/", incidents.Update.as_view(), name="update"),
    path("incidents/<slug:ref>/severity/", incidents.ChangeSeverity.as_view(), name="severity"),
    path("incidents/<slug:ref>/resolve/", incidents.Resolve.as_view(), name="resolve"),
    path("incidents/<slug:ref>/reopen/", incidents.Reopen.as_view(), name="reopen"),
    path("incidents/<slug:ref>/close/", incidents.Close.as_view(), name="close"),
    path(
        "incidents/<slug:ref>/security-level/",
        incidents.SetSecurityLevel.as_view(),
        name="security_level",
    ),
    path("incidents/<slug:ref>/restrict/", incidents.Restrict.as_view(), name="restrict"),
    path("incidents/<slug:ref>/unrestrict/", incidents.Unrestrict.as_view(), name="unrestrict"),
    path("incidents/<slug:ref>/responders/add/", incidents.AddResponder.as_view(), name="add_responder"),
    path("incidents/<slug:ref>/note/", incidents.AddNote.as_view(), name="note"),
    path("incidents/<slug:ref>/criteria/", incidents.CheckCriteria.as_view(), name="criteria"),
    path(
        "incidents/<slug:ref>/checklists/<slug:checklist>/<slug:item>/tick/",
        incidents.Tick.as_view(),
        name="tick",
    ),
    path(
        "incidents/<slug:ref>/checklists/<slug:checklist>/<slug:item>/untick/",
        incidents.Untick.as_view(),
        name="untick",
    ),
    path("incidents/<slug:ref>/tasks/new/", tasks.NewTask.as_view(), name="task_new"),
    path("incidents/<slug:ref>/tasks/<int:pk>/edit/", tasks.EditTask.as_view(), name="task_edit"),
    path("incidents/<slug:ref>/tasks/<int:pk>/done/", tasks.CompleteTask.as_view(), name="task_done"),
    path("incidents/<slug:ref>/tasks/<int:pk>/drop/", tasks.DropTask.as_view(), name="task_drop"),
    path("incidents/<slug:ref>/tasks/<int:pk>/reopen/", tasks.ReopenTask.as_view(), name="task_reopen"),
    path("incidents/<slug:ref>/evidence/", evidence.Attach.as_view(), name="attach"),
    path("incidents/<slug:ref>/evidence/<int:pk>/", evidence.download, name="evidence"),
    path("incidents/<slug:ref>/evidence/<int:pk>/withdraw/", evidence.Withdraw.as_view(), name="withdraw"),
    path(
        "incidents/<slug:ref>/roles/<slug:role>/take/",
        incidents.TakeRole.as_view(),
        name="take_role",
    ),
    path(
        "incidents/<slug:ref>/roles/<slug:role>/assign/",
        incidents.AssignRole.as_view(),
        name="assign_role",
    ),
    path(
        "incidents/<slug:ref>/roles/<slug:role>/release/",
        incidents.ReleaseRole.as_view(),
        name="release_role",
    ),
]
