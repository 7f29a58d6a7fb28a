"""Text from elsewhere, made safe to show: manifests, file names and answers may come from somebody hostile.

Forbidden here: deciding what may be declared; that is the schemas' part.
"""

from __future__ import annotations

# Control characters become their pictures (U+2400…), so that hostile text can neither move a terminal's cursor nor
# hide; bidirectional controls and the second block of controls vanish. Tab and line feed stay.
_VISIBLE: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)}
_VISIBLE |= dict.fromkeys([0x0D, *range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F)])
_VISIBLE |= dict.fromkeys(range(0x2066, 0x206A)) | {0x7F: 0x2421}
_IN_ONE_LINE = _VISIBLE | {0x09: 0x2409, 0x0A: 0x240A}


def visible(text: str) -> str:
    """The text with every control character visible or gone; tabs and line feeds stay."""
    return text if text.isprintable() else text.translate(_VISIBLE)


def visible_line(text: str) -> str:
    """As ``visible``, in one line: tabs and line feeds become pictures too."""
    return text if text.isprintable() else text.translate(_IN_ONE_LINE)


def escaped(name: str) -> str:
    r"""A file's name in one line, each character that cannot be seen as Python would write it: ``\n``, ``\x1b``.

    For names that are kept as well as shown, in records, logs and JSON. A name that can be seen stays as it is; in any
    other a backslash is doubled.
    """
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() and one != "\\" else ascii(one)[1:-1] for one in name)
