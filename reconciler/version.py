"""The version of this distribution. Forbidden here: anything else."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("cron-reconciler")
except PackageNotFoundError:  # run from a tree that was never installed
    VERSION = "0+unknown"
