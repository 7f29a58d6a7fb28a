"""How many descriptors there may be, and how many of them clients may take."""

import resource
import subprocess
import sys

import pytest

from reconciler.app.descriptors import connections, most_connections, raise_limit


@pytest.mark.parametrize(
    ("limit", "calls", "most"),
    [
        (65_536, 100, 1000),
        (2_256, 100, 1000),
        (2_000, 100, 744),
        (1_024, 100, 256),
        (1_024, 1, 758),
        (256, 100, 64),
        (65_536, 10_000, 1000),
    ],
)
def test_clients_leave_enough_for_calls_the_store_and_files(limit, calls, most):
    assert connections(limit, calls) == most


def test_fewer_than_usual_are_told(monkeypatch):
    logged = []
    monkeypatch.setattr("reconciler.app.descriptors.log.warning", lambda _, **said: logged.append(said))
    for limit, most in ((65_536, 1000), (800, 200)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert most_connections(100) == most
    assert [(line["limit"], line["connections"]) for line in logged] == [(800, 200)]


CODE = """
import resource
from reconciler.app.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "raised"), [(256, 800, 800), (800, 800, 800), (256, 1000, 1000)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft, hard, raised):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(soft=soft, hard=hard)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(raised), str(raised), str(hard)]


def test_a_limit_that_is_high_enough_stays(monkeypatch):
    changed = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, 1_000_000))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: changed.append(given))
    assert (raise_limit(), changed) == (100_000, [])


def test_without_any_limit_it_is_raised_within_reason(monkeypatch):
    changed = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: changed.append(limits))
    assert raise_limit() == 65_536
    assert changed == [(65_536, resource.RLIM_INFINITY)]


def test_a_system_that_does_not_let_it_be_raised_is_no_reason_to_fail(monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 256
