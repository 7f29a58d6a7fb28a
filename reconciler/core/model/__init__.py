"""The words of the product as frozen values: jobs, slots, runs, attempts, sync reports.

Every instant is aware, in UTC and cut to whole milliseconds, which is what every store can hold.
Forbidden here: decisions. They stand in the modules named after them.
"""

from __future__ import annotations

from reconciler.core.model.access import AccessToken, Role
from reconciler.core.model.credentials import Auth, Credential, SealedCredential
from reconciler.core.model.instants import whole_milliseconds
from reconciler.core.model.jobs import After, Calendar, Commit, Era, Job, JobKey, Rate, Retention, Schedule, StoredJob
from reconciler.core.model.processes import Lease, Process
from reconciler.core.model.requests import Expectation, HttpRequest, Reply, RetryPolicy
from reconciler.core.model.runs import Attempt, Cause, Outcome, Overrides, Run, RunQuery, Slot, Tally
from reconciler.core.model.secrets import SecretRef, SecretUse
from reconciler.core.model.stops import FreezeWindow, Pause, Stop, StopKind
from reconciler.core.model.sync import ApplicationState, Drift, Problem, Snapshot, SyncReport, Writing

__all__ = [
    "AccessToken",
    "After",
    "ApplicationState",
    "Attempt",
    "Auth",
    "Calendar",
    "Cause",
    "Commit",
    "Credential",
    "Drift",
    "Era",
    "Expectation",
    "FreezeWindow",
    "HttpRequest",
    "Job",
    "JobKey",
    "Lease",
    "Outcome",
    "Overrides",
    "Pause",
    "Problem",
    "Process",
    "Rate",
    "Reply",
    "Retention",
    "RetryPolicy",
    "Role",
    "Run",
    "RunQuery",
    "Schedule",
    "SealedCredential",
    "SecretRef",
    "SecretUse",
    "Slot",
    "Snapshot",
    "Stop",
    "StopKind",
    "StoredJob",
    "SyncReport",
    "Tally",
    "Writing",
    "whole_milliseconds",
]
