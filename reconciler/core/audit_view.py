"""What an audit says: its figures and differences as JSON, and its verdict in words.

Forbidden here: judging a slot (``core.audit``), and the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.core.audit import MISSING, UNFINISHED, Difference, Kind
from reconciler.core.eras import Span
from reconciler.core.model import Outcome
from reconciler.core.plural import plural
from reconciler.core.shapes import Instant, View

# In the order in which they are shown; together they are all slots.
FATES = (
    Outcome.SUCCEEDED.value,
    Outcome.FAILED.value,
    Outcome.SKIPPED.value,
    Outcome.MISSED.value,
    Outcome.UNKNOWN.value,
    Outcome.RUNNING.value,
    UNFINISHED,
    MISSING,
)


class DifferenceView(View):
    """A slot, or several in a row, that has no record; a record without a slot; a run that should have ended."""

    kind: str
    job: str
    slot: Instant
    through: Instant
    slots: int
    run: str | None = None
    reason: str


class AuditView(View):
    """What became of every slot after ``after`` and up to ``until``; ``complete`` where nothing differs."""

    after: Instant
    until: Instant
    complete: bool
    verdict: str
    jobs: int
    slots: int
    outcomes: Mapping[str, int]
    beside: int
    differences: tuple[DifferenceView, ...]
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]


def audit_view(  # noqa: PLR0913 - all that an audit found
    *,
    span: Span,
    jobs: int,
    outcomes: Mapping[str, int],
    beside: int,
    differences: Sequence[Difference],
    notes: Iterable[str] = (),
    unreadable: Sequence[str] = (),
) -> AuditView:
    """Show an audit."""
    return AuditView(
        after=span.after,
        until=span.until,
        complete=not differences and not unreadable,
        verdict=verdict(span, sum(outcomes.values()), differences, unreadable),
        jobs=jobs,
        slots=sum(outcomes.values()),
        outcomes={fate: outcomes.get(fate, 0) for fate in FATES},
        beside=beside,
        differences=tuple(difference_view(one) for one in differences),
        notes=tuple(notes),
        unreadable=tuple(unreadable),
    )


def difference_view(one: Difference) -> DifferenceView:
    """Show a difference."""
    return DifferenceView(
        kind=one.kind.value,
        job=str(one.key),
        slot=one.slot,
        through=one.through,
        slots=one.slots,
        run=one.run or None,
        reason=one.said,
    )


def verdict(span: Span, slots: int, differences: Sequence[Difference], unreadable: Sequence[str] = ()) -> str:
    """Say in a sentence how it stands."""
    said = []
    for kind, noun in ((Kind.MISSING, "slot"), (Kind.SURPLUS, "record"), (Kind.UNFINISHED, "run")):
        if number := sum(one.slots for one in differences if one.kind is kind):
            what = {
                Kind.MISSING: "has no record" if number == 1 else "have no record",
                Kind.SURPLUS: "without a slot",
                Kind.UNFINISHED: "without an end",
            }[kind]
            said.append(f"{plural(number, noun)} {what}")
    if unreadable:
        said.append(f"{plural(len(unreadable), 'job')} cannot be judged")
    if said:
        return f"{', '.join(said)}."
    if span.after >= span.until:
        return "There is nothing to look at."
    return "Every slot has its record." if slots else "No slot was due."
