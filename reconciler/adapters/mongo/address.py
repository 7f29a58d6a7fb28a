"""A MongoDB URL: checked without a network, and named without its password. Forbidden here: connecting."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from reconciler.errors import SettingsError

_ANSWER_MS = 20_000  # so that a server that has frozen is noticed
_URL = re.compile(r"(mongodb(?:\+srv)?)://(?:[^?]*@)?([^/?@]+)(?:/([^?]*))?(?:\?(.*))?")
_DATABASE = re.compile(r"[^/\\. \"$*<>:|?%@\x00]{1,63}")


class Address:
    """Where a database is.

    Attributes:
        url: as given; may hold a password.
        place: host and database, for people.
        database: its name.
        is_srv: whether the hosts are looked up in DNS.
        sets_concern: whether the URL says itself when a write counts as done.
    """

    def __init__(self, url: str) -> None:
        """Read the URL.

        Raises:
            SettingsError: it is of another form, or names no database.
        """
        self.url = url
        found = _URL.fullmatch(url)
        scheme, hosts, database, options = found.groups(default="") if found else ("", "", "", "")
        if not found or not _DATABASE.fullmatch(database):
            problem = "does not name a database" if found else "cannot be read"
            raise SettingsError(f"{self._shown()}: the URL {problem}; write mongodb://host/database")
        self.place = f"{hosts}/{database}"
        self.database = database
        self.is_srv = scheme == "mongodb+srv"
        self._given = {option.partition("=")[0].lower() for option in re.split("[&;]", options)}
        self.sets_concern = not self._given.isdisjoint({"w", "journal", "wtimeoutms"})

    def _shown(self) -> str:
        """The URL, but nothing of one that may hold a password: where that ends is not known yet."""
        return "mongodb://…" if "@" in self.url else self.url.partition("?")[0]

    def options(self, patience: timedelta) -> dict[str, Any]:
        """What the URL leaves open; times in milliseconds."""
        milliseconds = round(patience.total_seconds() * 1000)
        ours = {
            "appname": "cron-reconciler",
            "connectTimeoutMS": milliseconds,
            "serverSelectionTimeoutMS": milliseconds,
            "socketTimeoutMS": _ANSWER_MS,  # not timeoutMS, which would replace the patience in finding a server
        }
        return {name: value for name, value in ours.items() if name.lower() not in self._given}

    def unusable(self, error: Exception) -> SettingsError:
        """The driver refuses the URL; in its own words only where there is nothing secret that it could quote."""
        if "@" in self.url or re.search("password|properties", self.url, re.IGNORECASE):
            hint = "user name and password must be percent-encoded, and every option one that MongoDB knows"
            return SettingsError(f"mongodb://…: the URL cannot be used; {hint}")
        return SettingsError(f"{self._shown()}: the URL cannot be used: {error}")
