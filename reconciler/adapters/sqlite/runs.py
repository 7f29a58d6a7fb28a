"""Runs: their claims and their ends, what is asked about them, and the tokens of those that somebody asked for.

Forbidden here: deciding what happens to a run.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.adapters.sqlite import leading, questions
from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.rows import RUN_COLUMNS, decoded, row, run_batch, stamp
from reconciler.core import records
from reconciler.core.fencing import standing
from reconciler.core.model import JobKey, Outcome, Run, RunQuery, Tally

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


class Runs(Connected):
    """Runs, and the tokens by which a request that is repeated finds its run."""

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
        return await self._one(records.decode_run, sql, run_id)

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match, newest slot first."""
        condition, values = questions.for_runs(query)
        sql = f"SELECT id, document FROM runs WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608 - the condition is made of our own words
        return await self._find(records.decode_run, sql, (*values, max(0, query.limit)))

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        """Every run that was claimed and has not ended, oldest first, but for one owner's."""
        sql = "SELECT id, document FROM runs WHERE outcome = 'running' AND owner IS NOT ? ORDER BY id"
        return await self._find(records.decode_run, sql, (but_not_of,))

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
        condition, values = questions.for_runs(replace(query, before=None))
        sql = (
            f"SELECT hour, outcome, latency_ms, count(*) FROM runs WHERE {condition} "  # noqa: S608 - the condition is made of our own words
            "AND outcome <> 'running' GROUP BY hour, outcome, latency_ms"
        )
        rows = await self._read(lambda connection: connection.execute(sql, values).fetchall())
        return [Tally(datetime.fromisoformat(hour), Outcome(outcome), ms, runs) for hour, outcome, ms, runs in rows]

    async def remember(self, token: str, fingerprint: str, run_id: str, at: datetime) -> tuple[str, str]:
        """Keep ``token`` (first come) and return the fingerprint and run id that stand there now."""
        values = row(records.encode_token(token, fingerprint, run_id, at)) | {"at": stamp(at)}

        def write(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            connection.execute("INSERT INTO tokens VALUES (:_id, :at, :document) ON CONFLICT DO NOTHING", values)
            return decoded(
                records.decode_token, connection.execute("SELECT id, document FROM tokens WHERE id = :_id", values)
            )

        return (await self._write_durably(write))[0]
