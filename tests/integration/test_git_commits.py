"""Random commits, one after the other: exactly the last valid declaration of each Application runs, on both stores.

The short form runs with all tests; ``make commits`` makes 1,000 commits on each store.
"""

import os
import random
from pathlib import Path

import pytest

from reconciler.adapters.git import GitSource
from reconciler.adapters.git.address import address_of
from reconciler.adapters.mongo import MongoStore
from reconciler.adapters.sqlite import SqliteStore
from reconciler.services.reconcile import Reconciliation, SyncOptions
from tests.fakes import FakeClock
from tests.integration.repositories import Repository

COMMITS = int(os.environ.get("COMMITS", "40"))


def manifest(name, minutes, *, good=True):
    """One Application with one job for each entry of ``minutes``; a bad one says 61 for a minute."""
    apis = "".join(
        f'    - {{name: job-{number}, schedule: "{minute if good else 61} * * * *", request: {{path: /}}}}\n'
        for number, minute in enumerate(minutes)
    )
    head = f"apiVersion: reconciler/v1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n"
    return f"{head}  baseUrl: http://127.0.0.1:9\n  apis:\n{apis}"


class Model:
    """What stands in the repository, and what is to run: plainly, Application by Application."""

    def __init__(self, seed):
        self.random = random.Random(seed)  # noqa: S311 - the same commits each time
        self.files = {}  # file -> (Application, minutes, good)
        self.runs = {}  # Application -> minutes, as last validly declared
        self.made = 0

    def step(self):
        """One random change; what is to be committed, and whether the history begins anew."""
        kinds = ["add", "change", "change", "break", "mend", "rename", "delete", "force"]
        kind = self.random.choice(kinds) if len(self.files) > 3 else "add"
        file = self.random.choice(sorted(self.files)) if self.files else ""
        changes = getattr(self, f"_{kind}")(file)
        self._settle()
        if kind == "force":
            return {name: manifest(one, minutes, good=good) for name, (one, minutes, good) in self.files.items()}, True
        return changes, False

    def _minutes(self):
        return tuple(self.random.sample(range(60), self.random.randint(1, 3)))

    def _put(self, file, name, minutes, good):
        self.files[file] = (name, minutes, good)
        return {file: manifest(name, minutes, good=good)}

    def _add(self, _):
        self.made += 1
        return self._put(f"f{self.made}.yaml", f"app-{self.made}", self._minutes(), self.random.random() < 0.8)

    def _change(self, file):
        return self._put(file, self.files[file][0], self._minutes(), good=True)

    def _break(self, file):
        return self._put(file, *self.files[file][:2], good=False)

    def _mend(self, file):
        return self._put(file, *self.files[file][:2], good=True)

    def _rename(self, file):
        self.made += 1
        return {file: None} | self._put(f"moved/f{self.made}.yaml", *self.files.pop(file))

    def _delete(self, file):
        del self.files[file]
        return {file: None}

    def _force(self, file):
        del self.files[file]
        return {}

    def _settle(self):
        declared = {name: (minutes, good) for name, minutes, good in self.files.values()}
        self.runs = {name: minutes for name, minutes in self.runs.items() if name in declared}
        self.runs |= {name: minutes for name, (minutes, good) in declared.items() if good}

    @property
    def expected(self):
        return {
            f"{name}/job-{number}": f"{minute} * * * *"
            for name, minutes in self.runs.items()
            for number, minute in enumerate(minutes)
        }


@pytest.fixture(params=["sqlite", "mongodb"])
async def store(request, tmp_path: Path):
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "state.db")
    else:
        made = MongoStore(request.getfixturevalue("mongodb_url"))
    await made.open()
    yield made
    await made.close()


@pytest.mark.timeout(900)
async def test_after_every_commit_exactly_the_last_valid_declarations_run(store, tmp_path):
    repository, model, clock = Repository(tmp_path / "r.git"), Model(seed=20_261_121), FakeClock()
    repository.write("Begin", model.step()[0])
    source = GitSource(address_of(repository.url, None), tmp_path / "data", interval=60)
    reconciliation = Reconciliation(source, store, clock, SyncOptions(max_prune=1.0))
    await reconciliation.sync()
    for number in range(COMMITS):
        changes, force = model.step()
        repository.write(f"Commit {number}", changes, force=force)
        await clock.advance(1)
        report = await reconciliation.sync()
        assert report.error == ""
        stored = {str(one.key): one.job.schedule.cron for one in await store.jobs()}
        assert stored == model.expected, (number, report)
        assert {str(key) for key in clock.aligned} == set(stored)
        assert report.revision == repository.head()
