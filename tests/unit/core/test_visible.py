"""What hostile text looks like on a terminal."""

import pytest

from reconciler.core.visible import visible, visible_line


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
