"""File descriptors: how many this process may have, and how many of them connections of clients may take.

Each call, each connection to the store and each file needs one. Where clients could take them all, a scheduled call
would fail because somebody holds connections open. Forbidden here: opening anything.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Final

import structlog

from reconciler.web.connections import MOST

# Nobody needs more; and where the hard limit is a thousand million, as in some containers, a program that is started
# from here and closes all that it might have inherited takes minutes.
_ENOUGH: Final = 65_536
_CALLS: Final = 10  # connections that one call in flight may come to: see the setting
_BESIDES: Final = 256  # the store (a hundred connections to MongoDB), git, files, names that are looked up

log = structlog.get_logger()


def most_connections(calls: int) -> int:
    """Make room for as many descriptors as can be had; how many of them clients may take. Says so where it is less.

    Args:
        calls: how many calls may be in flight.
    """
    limit = raise_limit()
    most = connections(limit, calls)
    if most < MOST:
        log.warning("few file descriptors: fewer clients are served at once", limit=limit, connections=most)
    return most


def raise_limit() -> int:
    """Let this process open as many files as the hard limit allows, within reason; how many that are then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit of its own, which it does not name
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def connections(limit: int, calls: int) -> int:
    """How many connections of clients there may be at once.

    Args:
        limit: how many descriptors there may be.
        calls: how many calls may be in flight.
    """
    reserve = calls * _CALLS + _BESIDES
    return min(MOST, max(limit - reserve, limit // 4))
