"""What the stores write of an act, as ``core.records`` does of the rest. Forbidden here: any one database's words."""

from __future__ import annotations

from reconciler.core.acts import Act, ActKind
from reconciler.core.fields import Document, instant, maybe, naming, text, utf8, whole


def encode_act(act: Act) -> Document:
    """An act as a document."""
    return {
        "_id": act.id,
        "kind": act.kind.value,
        "at": act.at,
        "who": utf8(act.who),
        "source": utf8(act.source),
        "application": act.application,
        "api": act.api,
        "subject": utf8(act.subject),
        "result": utf8(act.result),
        "detail": utf8(act.detail),
        "run": act.run,
        "count": act.count,
    }


@naming("act")
def decode_act(document: Document) -> Act:
    """Read an act back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return Act(
        id=text(document, "_id"),
        kind=ActKind(text(document, "kind")),
        at=instant(document, "at"),
        who=text(document, "who"),
        source=text(document, "source"),
        application=text(document, "application"),
        api=maybe(text, document, "api"),
        subject=text(document, "subject"),
        result=text(document, "result"),
        detail=text(document, "detail"),
        run=text(document, "run"),
        count=whole(document, "count"),
    )
