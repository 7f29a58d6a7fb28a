"""The store in one SQLite file: the standard library's driver, write-ahead log, for one machine.

Two connections, each with a thread of its own, so that the event loop never waits for a disk and a long question never
delays a claim: one writes, one only reads. Other processes may read and write beside them. Every table holds whole
documents (``core.records``) as JSON, and columns for what is searched. A claim is on the disk before ``claim`` returns,
also through a power cut; the rest survives the end of the process, and after a power cut may lack its last moments.
Forbidden here: anything but SQLite, and deciding what happens to a run.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.sqlite import acting, applying, expiring, leading
from reconciler.adapters.sqlite.connection import MAY_NOT_WRITE, Lane, Work, may_write, transaction
from reconciler.adapters.sqlite.rows import (
    RUN_COLUMNS,
    decoded,
    document_of,
    row,
    run_batch,
    slices,
    stamp,
    still_said,
    where,
)
from reconciler.adapters.sqlite.tables import check, prepare
from reconciler.core import declared_records as declared
from reconciler.core import records
from reconciler.core import retention as retaining
from reconciler.core.act_records import decode_act
from reconciler.core.acts import KEEP_ACTS, Act, ActQuery
from reconciler.core.fencing import standing
from reconciler.core.fields import Document
from reconciler.core.known_jobs import KnownJobs
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Era,
    FreezeWindow,
    JobKey,
    Lease,
    Outcome,
    Pause,
    Process,
    Retention,
    Run,
    RunQuery,
    SealedCredential,
    StoredJob,
    SyncReport,
    Tally,
    Writing,
)
from reconciler.errors import StoreError
from reconciler.ports import OnDamaged

_KEPT_REPORTS = 1000
# One row for all of them, for the reason given below; the lengths part the documents again.
_JOBS = """SELECT json_group_array(CAST(id AS TEXT)), json_group_array(length(CAST(document AS BLOB))),
           CAST(group_concat(document, '') AS BLOB) FROM jobs"""

# One statement for a whole batch: Python's driver lets go of the interpreter lock at every row it handles, and each
# time a busy event loop lets it wait for milliseconds. The + keeps the planner from walking the index of outcomes.
_CLAIM = f"""INSERT INTO runs SELECT {RUN_COLUMNS}
             FROM json_each(?) AS new WHERE true ON CONFLICT DO NOTHING"""  # noqa: S608 - our own words
_OURS = """SELECT runs.id FROM json_each(?) AS new JOIN runs ON runs.id = json_extract(new.value, '$._id')
           WHERE runs.owner = json_extract(new.value, '$.owner')
           AND runs.claimed_at = json_extract(new.value, '$.claimedAt')"""
# A record keeps the name under which it stands: a rename may have carried it over since its end was written down here.
# What says so is put in only where it must be, for to parse each document once more takes as long as all the rest.
_FINISH = """UPDATE runs SET outcome = json_extract(new.value, '$.outcome'), owner = json_extract(new.value, '$.owner'),
             claimed_at = json_extract(new.value, '$.claimedAt'),
             latency_ms = json_extract(new.value, '$.latencyMs'), term = json_extract(new.value, '$.term'),
             document = CASE WHEN runs.job = json_extract(new.value, '$.job') AND NOT instr(runs.document, 'carriedBy')
                        THEN new.value
                        ELSE json_patch(new.value, json_object(
                            'job', runs.job, 'application', runs.application, 'api', runs.api, 'carriedBy',
                            CASE WHEN json_valid(runs.document) THEN json_extract(runs.document, '$.carriedBy') END))
                        END
             FROM json_each(?) AS new WHERE runs.id = json_extract(new.value, '$._id') AND +runs.outcome = 'running'
             AND runs.term <= json_extract(new.value, '$.term')"""
# Jumps from job to job in the index; a GROUP BY would read all of it.
_LAST_RUNS = """WITH RECURSIVE each (job) AS (SELECT min(job) FROM runs UNION ALL
                SELECT (SELECT min(job) FROM runs WHERE job > each.job) FROM each WHERE each.job IS NOT NULL)
                SELECT id, document FROM each JOIN runs
                ON runs.id = (SELECT max(id) FROM runs AS newer WHERE newer.job = each.job)"""
# Until its job's next one begins an era holds.
_ERAS = """SELECT id, document FROM eras WHERE begin < :until
           AND (:jobs IS NULL OR job IN (SELECT value FROM json_each(:jobs)))
           AND (NOT :changed OR job IN (SELECT job FROM eras WHERE begin > :since AND begin < :until))
           AND NOT EXISTS (SELECT 1 FROM eras AS later
                           WHERE later.job = eras.job AND later.begin > eras.begin AND later.begin <= :since)"""

_Result = TypeVar("_Result")


class SqliteStore:
    """The Store port in one file; made when it is missing, its folder too."""

    def __init__(
        self, path: Path | str, *, patience: timedelta = timedelta(seconds=5), reads_only: bool = False
    ) -> None:
        """Name the file, how long to wait for another process's lock, and whether only questions will be asked.

        These are also answered where the file or its folder may not be written.
        """
        self._path = Path(path)
        self._patience = patience.total_seconds()
        self._reads_only = reads_only
        self._writer: Lane | None = None
        self._reader: Lane | None = None
        self._known = KnownJobs(document_of)

    async def open(self) -> None:
        """Open the file, make folder, file and tables where they are missing.

        Raises:
            StoreError: it cannot be used: no permission, not a database, another program's, a newer schema.
            StoreUnavailableError: it is locked.
        """
        if self._reader is not None:
            return
        try:
            await (self._open_to_read() if self._reads_only and not may_write(self._path) else self._open_to_write())
        except BaseException:
            await self.close()
            raise

    async def _open_to_write(self) -> None:
        self._writer = Lane(self._path, self._patience)
        await self._writer.run(lambda connection: prepare(connection, self._path, self._patience))
        await self._writer.run(lambda connection: connection.execute("PRAGMA synchronous = NORMAL"))
        self._reader = Lane(self._path, self._patience)
        await self._reader.run(lambda connection: connection.execute("PRAGMA query_only = ON"))

    async def _open_to_read(self) -> None:
        self._reader = Lane(self._path, self._patience, writes=False)
        await self._reader.run(lambda connection: check(connection, self._path))

    async def close(self) -> None:
        """Let go of the file; may be called twice."""
        lanes, self._reader, self._writer = (self._reader, self._writer), None, None
        for lane in lanes:
            if lane is not None:
                await lane.close()

    async def _write(self, work: Work[_Result]) -> _Result:
        def in_transaction(connection: sqlite3.Connection) -> _Result:
            with transaction(connection):
                return work(connection)

        return await self._open_lane(self._writer).run(in_transaction)

    async def _write_durably(self, work: Work[_Result]) -> _Result:
        """Write so that it stays through a power cut: SQLite syncs the log at the commit."""

        def synced(connection: sqlite3.Connection) -> _Result:
            connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(connection):
                    return work(connection)
            finally:
                connection.execute("PRAGMA synchronous = NORMAL")

        return await self._open_lane(self._writer).run(synced)

    async def _read(self, work: Work[_Result]) -> _Result:
        return await self._open_lane(self._reader).run(work)

    async def _read_each(
        self,
        decode: Callable[[Document], _Result],
        sql: str,
        values: Sequence[object] = (),
        *,
        damaged: OnDamaged | None,
    ) -> list[_Result]:
        """Read records of which some may be damaged."""
        unread: list[tuple[str, str]] = []
        tell = None if damaged is None else lambda name, why: unread.append((name, why))
        found = await self._read(lambda c: decoded(decode, c.execute(sql, values), tell))
        for name, why in unread:  # here, and not in the lane's thread
            if damaged is not None:
                damaged(name, why)
        return found

    def _open_lane(self, lane: Lane | None) -> Lane:
        if lane is None:
            raise StoreError(f"{self._path}: {'the store is not open' if self._reader is None else MAY_NOT_WRITE}")
        return lane

    async def check(self) -> str:
        """Take the lock for writing, if the file may be written, and give it back; returns what answered."""
        ask = self._read if self._reader is not None and self._writer is None else self._write
        await ask(lambda connection: connection.execute("SELECT count(*) FROM jobs").fetchone())
        return f"SQLite {sqlite3.sqlite_version} at {self._path}{', read only' if self._writer is None else ''}"

    # --- jobs, Applications, syncs

    async def jobs(self, damaged: OnDamaged | None = None) -> Sequence[StoredJob]:
        """Every job, ordered by key; those that cannot be read are told to ``damaged``."""
        reading = self._known.begin(tolerant=damaged is not None)

        def read(connection: sqlite3.Connection) -> list[StoredJob]:
            reading.add(slices(*connection.execute(_JOBS).fetchone()))
            return self._known.end(reading)

        found = await self._read(read)
        reading.tell(damaged)  # here, and not in the lane's thread
        return found

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        sql = "SELECT id, document FROM jobs WHERE id = ?"
        found = await self._read(lambda c: decoded(declared.decode_job, c.execute(sql, (str(key),))))
        return found[0] if found else None

    async def applications(self, damaged: OnDamaged | None = None) -> Sequence[ApplicationState]:
        """Every Application, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM applications"
        found = await self._read_each(declared.decode_application, sql, damaged=damaged)
        return sorted(found, key=lambda state: state.name)

    async def apply(self, writing: Writing, *, term: int | None = None) -> None:
        """Carry runs over, write what is given whole, and remove the rest that is named, in one transaction.

        Raises:
            DeposedError: somebody has led after this term; nothing was written.
        """

        def write(connection: sqlite3.Connection) -> None:
            leading.must_lead(connection, term)
            applying.write(connection, writing)

        if writing:
            await self._write(write)

    async def eras(
        self,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[JobKey] | None = None,
        changed: bool = False,
    ) -> Sequence[Era]:
        """The eras that hold anywhere in (since, until], by key and begin; of every job where no keys are given.

        With ``changed`` only those of jobs of which one has begun after ``since``.
        """
        jobs = None if keys is None else json.dumps([str(key) for key in keys])
        values = {"since": stamp(since), "until": stamp(until), "jobs": jobs, "changed": changed}
        found = await self._read(lambda c: decoded(declared.decode_era, c.execute(_ERAS, values)))
        return sorted(found, key=lambda era: (era.key, era.begin)) if since < until else []

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        """Every freeze window, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM windows ORDER BY id"
        return await self._read_each(declared.decode_window, sql, damaged=damaged)

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        """Every access token, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM access_tokens ORDER BY id"
        return await self._read_each(declared.decode_token, sql, damaged=damaged)

    async def pause(self, pause: Pause) -> None:
        """Write a pause whole, on the disk when this returns: an operator relies on it."""
        ended = None if pause.ended_at is None else stamp(pause.ended_at)
        values = row(records.encode_pause(pause)) | {"target": pause.target, "until": stamp(pause.until)}
        sql = "INSERT OR REPLACE INTO pauses VALUES (:_id, :target, :until, :ended_at, :document)"
        await self._write_durably(lambda connection: connection.execute(sql, values | {"ended_at": ended}))

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """The pauses, newest first; those still open at an instant where one is given.

        Of one that cannot be read, which is told to ``damaged``, the columns still say what is paused and until when.
        """
        condition = "true" if ending_after is None else "ended_at IS NULL AND until > ?"
        sql = f"SELECT id, document FROM pauses WHERE {condition} ORDER BY id DESC"  # noqa: S608 - our own words
        values = () if ending_after is None else (stamp(ending_after),)
        unread: list[str] = []

        def tell(name: str, why: str) -> None:
            unread.append(name)
            if damaged is not None:
                damaged(name, why)

        found = await self._read_each(records.decode_pause, sql, values, damaged=damaged and tell)
        salvaged = await self._read(lambda c: [pause for name in unread for pause in _salvaged(c, name)])
        return sorted([*found, *salvaged], key=lambda pause: pause.id, reverse=True)

    async def record(self, report: SyncReport) -> None:
        """Keep a sync report, and the newest 1,000."""
        document = records.encode_report(report)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO syncs VALUES (:_id, :document)", row(document))
            connection.execute(
                "DELETE FROM syncs WHERE id <= (SELECT id FROM syncs ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (_KEPT_REPORTS,),
            )

        await self._write(write)

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        """The newest sync reports, newest first; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM syncs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
        return await self._read_each(records.decode_report, sql, (before, max(0, limit)), damaged=damaged)

    # --- the lead

    async def lease(self) -> Lease | None:
        """Who leads; ``None`` where nobody ever has."""
        return await self._read(leading.read)

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        """Take the lease or renew it, in one transaction; it is ours if its ``holder`` says so."""
        return await self._write(lambda c: leading.lead(c, process_id, span, accounted_until))

    async def resign(self, process_id: str, accounted_until: datetime) -> None:
        """Give the lease up, if it is ours, so that another process can take it at once."""
        await self._write(lambda c: leading.resign(c, process_id, accounted_until))

    async def nudge(self) -> None:
        """Ask whoever leads to read the source soon."""
        await self._write(leading.nudge)

    # --- runs

    async def claim(self, runs: Sequence[Run], *, term: int | None = None) -> frozenset[str]:
        """Insert runs that do not exist yet; the ids that are ours, on the disk when this returns.

        Raises:
            DeposedError: somebody has led after this term; nothing was inserted.
        """
        if not runs:
            return frozenset()

        batch = run_batch(runs)

        def write(connection: sqlite3.Connection) -> frozenset[str]:
            leading.must_lead(connection, term)
            if connection.execute(_CLAIM, (batch,)).rowcount == len(runs):
                return frozenset(run.id for run in runs)
            return frozenset(run_id for (run_id,) in connection.execute(_OURS, (batch,)))

        return await self._write_durably(write)

    async def finish(self, runs: Sequence[Run]) -> None:
        """Write runs over their claims; one that has ended, or stands there with a higher term, is left alone."""
        if runs:
            batch = run_batch(standing(runs))
            await self._write(lambda connection: connection.execute(_FINISH, (batch,)))

    async def release(self, runs: Sequence[Run]) -> None:
        """Remove claims for which nothing was sent, so that their slots can be claimed anew."""
        claims = [(run.id, run.owner, stamp(run.claimed_at), Outcome.RUNNING.value) for run in runs]
        sql = "DELETE FROM runs WHERE id = ? AND owner = ? AND claimed_at = ? AND outcome = ?"
        await self._write(lambda connection: connection.executemany(sql, claims))

    async def run_ids(self, since: datetime) -> frozenset[str]:
        """The ids of all runs whose slot is at or after an instant, from the index alone."""
        bound = (records.first_id(since),)
        # One row for all of them: see above.
        sql = "SELECT json_group_array(id) FROM runs WHERE id >= ?"
        return frozenset(json.loads(await self._read(lambda c: c.execute(sql, bound).fetchone()[0])))

    async def run(self, run_id: str) -> Run | None:
        """One run."""
        sql = "SELECT id, document FROM runs WHERE id = ?"
        found = await self._read(lambda c: decoded(records.decode_run, c.execute(sql, (run_id,))))
        return found[0] if found else None

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match, newest slot first."""
        condition, values = where(query)
        if query.before is not None:
            condition, values = f"{condition} AND id < ?", [*values, query.before]
        sql = f"SELECT id, document FROM runs WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608 - the condition is made of our own words
        values = [*values, max(0, query.limit)]
        return await self._read(lambda c: decoded(records.decode_run, c.execute(sql, values)))

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        """Every run that was claimed and has not ended, oldest first, but for one owner's."""
        sql = "SELECT id, document FROM runs WHERE outcome = 'running' AND owner IS NOT ? ORDER BY id"
        return await self._read(lambda c: decoded(records.decode_run, c.execute(sql, (but_not_of,))))

    async def last_runs(self, keys: Collection[JobKey] | None = None) -> Mapping[JobKey, Run]:
        """The newest run of each job; of every job where no keys are given."""
        one = "SELECT id, document FROM runs WHERE job = ? ORDER BY id DESC LIMIT 1"

        def read(connection: sqlite3.Connection) -> list[Run]:
            if keys is None:
                return decoded(records.decode_run, connection.execute(_LAST_RUNS))
            rows = (row for key in keys for row in connection.execute(one, (str(key),)))
            return decoded(records.decode_run, rows)

        return {run.key: run for run in await self._read(read)}

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        """Ended runs counted by hour, outcome and latency."""
        condition, values = where(query)
        sql = (
            f"SELECT hour, outcome, latency_ms, count(*) FROM runs WHERE {condition} "  # noqa: S608 - the condition is made of our own words
            "AND outcome <> 'running' GROUP BY hour, outcome, latency_ms"
        )
        rows = await self._read(lambda connection: connection.execute(sql, values).fetchall())
        return [Tally(datetime.fromisoformat(hour), Outcome(outcome), ms, runs) for hour, outcome, ms, runs in rows]

    # --- acts

    async def act(self, acts: Sequence[Act]) -> None:
        """Keep acts, on the disk when this returns; one that is there already stays."""
        if acts:
            await self._write_durably(lambda connection: acting.insert(connection, acts))

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        """The acts that match, newest first; those that cannot be read are told to ``damaged``."""
        return await self._read_each(decode_act, *acting.question(query), damaged=damaged)

    async def expire(
        self,
        *,
        now: datetime,
        retention: Retention,
        applications: Mapping[str, Retention],
        keep_acts: timedelta = KEEP_ACTS,
        look_back: timedelta = timedelta(0),
    ) -> int:
        """Remove ended runs that are older or more than ``retention`` says, in small transactions; returns how many."""
        needed = retaining.needed(await self.lease(), now, look_back)  # the mark only moves on meanwhile
        gone = await expiring.expire_runs(
            self._read, self._write, now=now, retention=retention, applications=applications, needed=needed
        )
        await expiring.expire_others(self._write, now - retention.keep_failures_for, needed)
        await acting.expire(self._write, now - keep_acts)
        return gone

    # --- tokens, processes

    async def remember(self, token: str, fingerprint: str, run_id: str, at: datetime) -> tuple[str, str]:
        """Keep ``token`` (first come) and return the fingerprint and run id that stand there now."""
        values = row(records.encode_token(token, fingerprint, run_id, at)) | {"at": stamp(at)}

        def write(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            connection.execute("INSERT INTO tokens VALUES (:_id, :at, :document) ON CONFLICT DO NOTHING", values)
            return decoded(
                records.decode_token, connection.execute("SELECT id, document FROM tokens WHERE id = :_id", values)
            )

        return (await self._write_durably(write))[0]

    async def credential(self, credential_id: str) -> SealedCredential | None:
        """One credential, encrypted as it was kept."""
        sql = "SELECT id, document FROM credentials WHERE id = ?"
        found = await self._read(lambda c: decoded(records.decode_credential, c.execute(sql, (credential_id,))))
        return found[0] if found else None

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        """Every credential, ordered by id; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM credentials ORDER BY id"
        return await self._read_each(records.decode_credential, sql, damaged=damaged)

    async def keep_credential(self, credential: SealedCredential) -> None:
        """Write a credential whole, in place of what stands under its id."""
        values = row(records.encode_credential(credential)) | {"obtained_at": stamp(credential.obtained_at)}
        sql = "INSERT OR REPLACE INTO credentials VALUES (:_id, :obtained_at, :document)"
        await self._write(lambda connection: connection.execute(sql, values))

    async def drop_credential(self, credential_id: str) -> None:
        """Forget a credential; nothing where there is none."""
        await self._write(lambda c: c.execute("DELETE FROM credentials WHERE id = ?", (credential_id,)))

    async def beat(self, process: Process) -> None:
        """Write a process's sign of life."""
        values = row(records.encode_process(process)) | {"seen_at": stamp(process.seen_at)}
        sql = "INSERT OR REPLACE INTO processes VALUES (:_id, :seen_at, :document)"
        await self._write(lambda connection: connection.execute(sql, values))

    async def processes(self) -> Sequence[Process]:
        """The processes that have shown life, newest first."""
        sql = "SELECT id, document FROM processes ORDER BY seen_at DESC, id DESC"
        return await self._read(lambda c: decoded(records.decode_process, c.execute(sql)))

    async def farewell(self, process_id: str) -> None:
        """Forget a process that ends in good order."""
        await self._write(lambda connection: connection.execute("DELETE FROM processes WHERE id = ?", (process_id,)))


def _salvaged(connection: sqlite3.Connection, name: str) -> list[Pause]:
    """A damaged pause, from what is left of it."""
    sql = "SELECT id, document, target, until, ended_at FROM pauses WHERE id = ?"
    found = []
    for _, document, target, until, ended_at in connection.execute(sql, (name,)):
        application, slash, api = target.partition("/")
        said = still_said(
            name, document, application=application, api=api if slash else None, until=until, endedAt=ended_at
        )
        found.append(records.salvaged_pause(said))
    return [pause for pause in found if pause is not None]
