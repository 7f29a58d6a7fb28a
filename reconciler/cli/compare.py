"""What ``plan`` compares: a source with the store, or two revisions or folders with each other.

The second needs no store, no secrets and no network: what stands in a pull request is all there is to know.
Forbidden here: printing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from reconciler.app import reading, wiring
from reconciler.cli.sources import Reading, read
from reconciler.core import plan as planning
from reconciler.core.desired import build
from reconciler.core.model import AccessToken, ApplicationState, FreezeWindow, JobKey, Snapshot, StoredJob
from reconciler.core.plan import Plan
from reconciler.core.plan_view import PlanView, Side, SideKind, plan_view
from reconciler.errors import PathNotFoundError, SettingsError, SourceError
from reconciler.settings import Settings


def with_store(settings: Settings, now: datetime) -> PlanView:
    """The plan that a sync would follow.

    Raises:
        SettingsError: what is named is no source or no store.
        SourceError: the source cannot be read.
        StoreError: the store is away or refuses.
    """
    after = read(settings)
    found = asyncio.run(reading.state(settings.store))
    stored = {one.key: one for one in found.jobs}
    states = {one.name: one for one in found.applications}
    windows = {one.name: one for one in found.windows}
    tokens = {one.name: one for one in found.access_tokens}
    named = wiring.named(settings)
    made = _plan(settings, after, stored, states, windows, tokens, named)
    return plan_view(
        made,
        now,
        before=Side(kind=SideKind.STORE, name=_without_credentials(settings.store)),
        after=_side(after),
        problems=after.problems,
        environment=settings.environment or "",
    )


def between(settings: Settings, from_: str, to: str | None, now: datetime) -> PlanView:
    """The plan from one revision or folder to another, or to the source as it is.

    Raises:
        SettingsError: what is named is none.
        SourceError: one of the two cannot be read.
    """
    after = read(settings) if to is None else _read_side(settings, "--to", to)
    before = _read_side(settings, "--from", from_, may_be_absent=True)
    first = planning.diff({}, before.desired)
    jobs = planning.stored_jobs(first, {}, revision=before.snapshot.revision, now=now)
    states, _ = planning.application_states(first, before.desired, {}, now=now)
    made = _plan(
        settings,
        after,
        {one.key: one for one in jobs},
        {one.name: one for one in states},
        before.desired.windows,
        before.desired.tokens,
    )
    return plan_view(
        made,
        now,
        before=_side(before),
        after=_side(after),
        problems=after.problems,
        problems_before=[
            replace(one, file=after.place) if one.file == before.place else one for one in before.problems
        ],
        held_before=before.desired.held,
        environment=settings.environment or "",
    )


def _plan(
    settings: Settings,
    after: Reading,
    stored: Mapping[JobKey, StoredJob],
    states: Mapping[str, ApplicationState],
    windows: Mapping[str, FreezeWindow],
    tokens: Mapping[str, AccessToken],
    named: str = "",
) -> Plan:
    made = planning.diff(
        stored,
        after.desired,
        unread=after.snapshot.problems,
        applications=states,
        windows=windows,
        tokens=tokens,
    )
    return planning.brake(
        made,
        declares_nothing=not after.desired.applications,
        allow_prune=False,
        max_prune=settings.max_prune,
        policies=planning.prune_policies(after.desired, states),
        revision=after.snapshot.revision,
        source=named,
    )


def _side(one: Reading) -> Side:
    return Side(kind=SideKind.SOURCE, name=one.name, revision=one.snapshot.revision)


def _read_side(settings: Settings, flag: str, text: str, *, may_be_absent: bool = False) -> Reading:
    """A folder or file that exists, or else a revision of the repository that the source stands in.

    Args:
        settings: where the source is.
        flag: what named the side.
        text: the folder or revision.
        may_be_absent: a revision that has no manifests yet declares nothing; a first pull request begins from there.
    """
    if not text:
        raise SettingsError(f"{flag} is empty; name a branch, a tag, a commit or a folder")
    if os.path.exists(text):  # noqa: PTH110 - unlike Path.exists it answers for every text
        return read(settings.model_copy(update={"source": text, "ref": None}))
    try:
        return replace(
            read(settings.model_copy(update={"source": _without_ref(settings.source), "ref": text})), name=text
        )
    except PathNotFoundError as error:
        if may_be_absent:
            return _nothing(f"{text} (no manifests yet)")
        raise SourceError(f"{flag} {text}: {error}") from error
    except (SettingsError, SourceError) as error:
        raise type(error)(f"{flag} {text}: {error} (nor is there a folder or file of this name)") from error


def _nothing(name: str) -> Reading:
    return Reading(
        name=name, place=name, snapshot=Snapshot(revision="", files={}, texts={}), desired=build({}), problems=()
    )


def _without_credentials(url: str) -> str:
    """A store's URL that may be shown: neither user and password nor options."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}" if scheme.startswith("mongodb") else url


def _without_ref(source: str) -> str:
    """A repository's URL that says another ref by itself says none."""
    if not source.startswith("git+"):
        return source
    parts = urlsplit(source)
    query = "&".join(one for one in parts.query.split("&") if not one.startswith("ref="))
    return urlunsplit(parts._replace(query=query))
