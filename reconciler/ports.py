"""What the services need from the outside, as Protocols in the words of the domain.

Forbidden here: an implementation, and a word that only one technology knows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from reconciler.core.acts import KEEP_ACTS, Act, ActQuery
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Commit,
    Drift,
    Era,
    FreezeWindow,
    HttpRequest,
    JobKey,
    Lease,
    Pause,
    Process,
    Reply,
    Retention,
    Run,
    RunQuery,
    SealedCredential,
    SecretRef,
    Snapshot,
    StoredJob,
    SyncReport,
    Tally,
    Writing,
)


class Source(Protocol):
    """Where manifests come from."""

    @property
    def name(self) -> str:
        """What people call it: the folder's path, the repository's URL without credentials."""

    async def fetch(self, known: Mapping[str, str]) -> Snapshot:
        """Read the source; ``texts`` holds only files whose content id is not the one in ``known`` (path -> id).

        Raises:
            SourceError: it cannot be read as a whole.
            SourceUnavailableError: …for now.
        """

    async def origins(self, files: Collection[str]) -> Mapping[str, Commit]:
        """The commit that last changed each of these files, as of the snapshot fetched last.

        Files whose history is not known are left out; a folder knows of none. Raises as ``fetch``.
        """

    def changes(self) -> AsyncIterator[None]:
        """Yield each time when a sync is worth its while; never ends by itself."""

    def concerns(self, ref: str) -> bool:
        """Whether a push to this ref (``refs/heads/main``) can change what is read here."""


OnDamaged = Callable[[str, str], None]


class Store(Protocol):
    """The state. Every verb is atomic per record and safe to repeat; none needs a transaction.

    Every verb raises ``StoreUnavailableError`` while the store is away and ``StoreError`` where it refuses.
    """

    async def open(self) -> None:
        """Connect, make what is missing (tables, indexes), check the schema version."""

    async def close(self) -> None:
        """Let go of every connection; may be called twice."""

    async def check(self) -> str:
        """Round trip; returns what answered, for people: ``SQLite 3.45 at .reconciler/state.db``."""

    async def jobs(self, damaged: OnDamaged | None = None) -> Sequence[StoredJob]:
        """Every job, ordered by key.

        Args:
            damaged: told the id of each record that cannot be read, and why; without it such a one is a StoreError.
        """

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""

    async def applications(self, damaged: OnDamaged | None = None) -> Sequence[ApplicationState]:
        """Every Application, ordered by name; ``damaged`` as in ``jobs``."""

    async def apply(self, writing: Writing, *, term: int | None = None) -> None:
        """Write its jobs, Applications, windows and access tokens whole, and remove those that it names; runs stay.

        Batched; nothing in it, no write. ``renamed`` gives the runs, the open pauses and the eras of the old key to the
        new one, before anything else is written; chains of renames are safe. ``eras`` are added to the history of
        schedules; one that is there already stays.

        Raises:
            DeposedError: ``term`` is given, and the lease has a higher one; nothing was written.
        """

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        """Every freeze window, ordered by name; ``damaged`` as in ``jobs``."""

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        """Every access token, ordered by name; ``damaged`` as in ``jobs``."""

    async def pause(self, pause: Pause) -> None:
        """Write a pause, new or changed, whole."""

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """The pauses, newest first; with ``ending_after`` those still open then: not ended, and ``until`` is later.

        ``damaged`` as in ``jobs``; with it, a record that cannot be read but still says what is paused is also given,
        as ``core.records.salvaged_pause`` makes it: damage must not let calls be made that somebody has stopped.
        """

    async def record(self, report: SyncReport) -> None:
        """Keep a sync report; also retention: at most the newest 1,000 stay."""

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        """The newest sync reports, newest first; ``before`` is the cursor (an id); ``damaged`` as in ``jobs``."""

    async def eras(
        self,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[JobKey] | None = None,
        changed: bool = False,
    ) -> Sequence[Era]:
        """The eras that hold anywhere in (since, until], by key and begin; of every job where no keys are given.

        With ``changed`` only those of jobs of which one has begun after ``since``; quick where there is no such job.
        """

    async def lease(self) -> Lease | None:
        """Who leads; ``None`` where nobody ever has."""

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        """Take the lease, or renew it; one round trip; safe to repeat. It is ours if its ``holder`` says so.

        It can be taken where nobody holds it or where it has expired, by the store's own clock; then ``term`` is one
        more, and ``accounted_until`` in the answer is what the last leader left (what was given, where there was none).
        Renewed, it expires ``span`` from now by the store's clock, and keeps ``accounted_until``.
        """

    async def resign(self, process_id: str, accounted_until: datetime) -> None:
        """Give the lease up, if it is ours, so that another process can take it at once."""

    async def nudge(self) -> None:
        """Ask whoever leads to read the source soon: ``Lease.nudges`` is one more. Nothing where nobody ever led."""

    async def claim(self, runs: Sequence[Run], *, term: int | None = None) -> frozenset[str]:
        """Insert runs that do not exist yet, in one unordered batch; the ids that are ours.

        A run that is stored already with the same owner and ``claimed_at`` counts as ours: that is our own claim
        whose answer was lost. Runs that have ended already (skipped, missed) are recorded by the same verb.

        Raises:
            DeposedError: ``term`` is given, and the lease has a higher one by the store's own judgement. None of these
                runs may be made; whoever asked ends those that stand there as its own all the same, from an earlier
                call or because the lease was taken over at this very moment.
        """

    async def finish(self, runs: Sequence[Run]) -> None:
        """Write runs over their claims, in one batch: ended ones, or running ones that a new leader has taken over.

        A run that has ended already is left alone, and so is one that stands there with a higher term. A record keeps
        the key that it has: a rename may have carried it over by now, whatever its process knows.
        """

    async def release(self, runs: Sequence[Run]) -> None:
        """Remove claims for which nothing was sent, so that their slots can be claimed anew.

        Only what still stands there as it was claimed: by the same owner at the same instant, under the same term, and
        without an end.
        """

    async def run_ids(self, since: datetime) -> frozenset[str]:
        """The ids of all runs whose slot is at or after an instant."""

    async def run(self, run_id: str) -> Run | None:
        """One run."""

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match, newest slot first (by id, descending), at most ``query.limit``."""

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        """Every run that was claimed and has not ended, oldest first; ``but_not_of`` leaves one owner's out."""

    async def last_runs(self, keys: Collection[JobKey] | None = None) -> Mapping[JobKey, Run]:
        """The newest run of each job; of every job where no keys are given."""

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        """Ended runs counted by hour, outcome and latency; ``before`` and ``limit`` do not apply."""

    async def remember(self, token: str, fingerprint: str, run_id: str, at: datetime) -> tuple[str, str]:
        """Keep ``token`` (first come) and return the fingerprint and run id that stand there now."""

    async def credential(self, credential_id: str) -> SealedCredential | None:
        """One credential, encrypted as it was kept."""

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        """Every credential, ordered by id; ``damaged`` as in ``jobs``."""

    async def keep_credential(self, credential: SealedCredential) -> None:
        """Write a credential whole, in place of what stands under its id."""

    async def drop_credential(self, credential_id: str) -> None:
        """Forget a credential; nothing where there is none."""

    async def beat(self, process: Process) -> None:
        """Write a process's sign of life."""

    async def processes(self) -> Sequence[Process]:
        """The processes that have shown life, newest first."""

    async def farewell(self, process_id: str) -> None:
        """Forget a process that ends in good order."""

    async def act(self, acts: Sequence[Act]) -> None:
        """Keep acts for good, on the disk when this returns; one whose id is there already stays as it is."""

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        """The acts that match, newest first (by id, descending), at most ``query.limit``.

        ``damaged`` as in ``jobs``.
        """

    async def expire(
        self,
        *,
        now: datetime,
        retention: Retention,
        applications: Mapping[str, Retention],
        keep_acts: timedelta = KEEP_ACTS,
        look_back: timedelta = timedelta(0),
    ) -> int:
        """Remove ended runs that are older or more than ``retention`` says, in small batches; returns how many.

        ``applications`` names those that keep theirs otherwise. The newest run of each job always stays. Tokens,
        processes, credentials, pauses that ended and eras that were followed by another go too,
        ``retention.keep_failures_for`` after that; acts ``keep_acts`` after they were done, and of refused attempts
        all but the newest ``KEPT_REFUSED``.

        Nothing goes that may still tell what is owed: no run with a slot after the lease's ``accounted_until``, no
        pause and no era that held after it; and no run that follows a freeze or another run's end (``CATCH_UP``,
        ``AFTER``) from the last ``look_back`` before ``now``, or after that mark.
        """


class ActLog(Protocol):
    """Keeps in mind who does what."""

    def note(self, act: Act, *, told: bool = False) -> None:
        """Tell it, and see to it that it is kept; never waits, and never raises for what becomes of it.

        Args:
            act: what was done.
            told: whether a line of its own stands in the log already.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """What ``Clock.align`` did, in entries (one for each distinct timetable)."""

    added: int
    removed: int
    kept: int


OnDue = Callable[[datetime, Sequence[JobKey]], None]


class Clock(Protocol):
    """The time of day, and the waking at slots. It decides nothing: lateness and overlap are others' concern."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""

    def steady(self) -> timedelta:
        """Time since some fixed instant, that nobody can set, and that goes on while the machine is suspended."""

    async def sleep(self, delay: timedelta) -> None:
        """Wait; a delay of zero or less returns at the next turn."""

    def start(self, on_due: OnDue) -> None:
        """Begin waking: ``on_due(slot, keys)`` is called on the event loop once for each slot and timetable."""

    def align(self, jobs: Iterable[StoredJob]) -> Alignment:
        """Make the entries those of the jobs that are not suspended; what has not changed is not touched."""

    def next_due(self, key: JobKey) -> datetime | None:
        """When the job will next be due, as scheduled; ``None`` if never or not scheduled."""

    def handed_until(self) -> datetime:
        """Every slot up to this instant has been handed over: now, or just before one that has come and has not."""

    def drift(self) -> Sequence[Drift]:
        """What is scheduled otherwise than the last ``align`` said; to be mended by ``realign``."""

    def realign(self) -> None:
        """Make every entry anew from what the last ``align`` said; no slot comes twice for it."""

    def stop(self) -> None:
        """Wake no more. Idempotent."""


class Issuer(Protocol):
    """Whoever issues logins."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What it has signed in a token, found right: signature, issuer, audience and time.

        Raises:
            TokenRefusedError: it is not good.
            IssuerUnavailableError: it cannot be checked now.
        """


class Caller(Protocol):
    """Makes one HTTP call."""

    async def call(self, request: HttpRequest, timeout: timedelta) -> Reply:  # noqa: ASYNC109 - bounds the whole attempt
        """Send the request; never raises for what the network or the target does, only for cancellation."""

    async def close(self) -> None:
        """Close every connection."""


class Encryption(Protocol):
    """Encrypts what must not stand in the store as it is."""

    def encrypt(self, plain: bytes) -> str:
        """Encrypt with the newest key."""

    def decrypt(self, encrypted: str) -> bytes:
        """Decrypt with whichever key fits.

        Raises:
            SealingError: none does, or something was changed.
        """

    def is_newest(self, encrypted: str) -> bool:
        """Whether it was encrypted with the newest key."""


class Secrets(Protocol):
    """Where secret values are found."""

    async def value(self, ref: SecretRef, *, application: str, field: str) -> str:
        """The value that is referred to, as it is now.

        Args:
            ref: where it is found.
            application: whose request it is for; a sealed value opens for that one alone.
            field: where it stands there, as ``SecretUse.field`` says it; likewise.

        Raises:
            SecretError: there is none, or it cannot be read.
        """
