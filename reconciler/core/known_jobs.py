"""Jobs as a store last read them, so that reading them again costs what has changed: the check for drift reads all.

Decoding a job costs fifteen times as much as seeing that its document is still the same. Forbidden here: any one
database's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from operator import attrgetter

from reconciler.core.declared_records import read_job
from reconciler.core.fields import UNREADABLE, Document, complaint, unreadable
from reconciler.core.model import StoredJob

_Known = dict[tuple[str, bytes], StoredJob]
_by_key = attrgetter("job.key")


class KnownJobs:
    """What one store has read; only the store that owns it may ask."""

    def __init__(self, parse: Callable[[str, bytes], Document]) -> None:
        """Say how a document is made of its bytes; see ``Reading.add``."""
        self._parse = parse
        self._known: _Known = {}

    def begin(self, *, tolerant: bool) -> Reading:
        """Begin to read every job; ``tolerant`` collects those that cannot be read, instead of refusing."""
        return Reading(self._parse, self._known, tolerant=tolerant)

    def end(self, reading: Reading) -> list[StoredJob]:
        """Every job of a reading, ordered by key; the next one begins with these."""
        self._known = reading.found
        return sorted(reading.found.values(), key=_by_key)


class Reading:
    """One pass over every job."""

    def __init__(self, parse: Callable[[str, bytes], Document], known: _Known, *, tolerant: bool) -> None:
        self._parse = parse
        self._known = known
        self._tolerant = tolerant
        self.found: _Known = {}
        self._unread: list[tuple[str, str]] = []

    def add(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Read documents: what they stand under beside their bytes (empty where they say it themselves), and these.

        Raises:
            StoreError: naming the first job that cannot be read, unless the reading is tolerant.
        """
        known, found = self._known, self.found
        for name, raw in rows:
            sight = (name, blake2b(raw, digest_size=16).digest())
            stored = known.get(sight) or self._read(name, raw)
            if stored is not None:
                found[sight] = stored

    def _read(self, name: str, raw: bytes) -> StoredJob | None:
        document: Document = {"_id": name}
        try:
            document = self._parse(name, raw)
            return read_job(document)
        except UNREADABLE as error:
            if not self._tolerant:
                raise unreadable("job", document["_id"], error) from error
            self._unread.append((str(document["_id"]), complaint(error)))
            return None

    def tell(self, damaged: Callable[[str, str], None] | None) -> None:
        """Tell the id of each record that could not be read, and why."""
        if damaged is not None:
            for name, why in self._unread:
                damaged(name, why)
