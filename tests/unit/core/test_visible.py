"""What hostile text looks like on a terminal."""

import pytest

from reconciler.core.visible import escaped, visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown", "in_one_line"),
    [
        ("größer ✓", "größer ✓", "größer ✓"),
        ("a\x1b[2J\x7f", "a␛[2J␡", "a␛[2J␡"),
        ("a\n\tb\r\n", "a\n\tb\n", "a␊␉b␊"),
        ("a\x9b2J\u202eb\u2066c", "a2Jbc", "a2Jbc"),
    ],
)
def test_no_control_character_reaches_a_terminal(text, shown, in_one_line):
    assert (visible(text), visible_line(text)) == (shown, in_one_line)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("teams/a.yaml", "teams/a.yaml"),
        ("a b\u00f6\\n.yaml", "a b\u00f6\\n.yaml"),
        ("a\n\tb.yaml", "a\\n\\tb.yaml"),
        ("\x1b[2J\x7f.yaml", "\\x1b[2J\\x7f.yaml"),
        ("a\u202eb\u2028.yaml", "a\\u202eb\\u2028.yaml"),
        ("a\\n\n.yaml", "a\\\\n\\n.yaml"),
        ("\udcff.yaml", "\\udcff.yaml"),
    ],
    ids=["plain", "backslash", "lines", "terminal", "bidirectional", "both", "no text"],
)
def test_a_name_is_escaped_where_something_in_it_cannot_be_seen(name, shown):
    assert escaped(name) == shown
    assert escaped(name).isprintable()
