"""The page on security names tests; they exist, and settings and defaults are those of the product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", PAGE)


def test_the_page_names_tests():
    assert len(NAMED) > 20
    assert PAGE.count("tests/") == len(NAMED)


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_the_page_names_exists(file, name):
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_settings_that_the_page_names_exist_with_these_defaults():
    rows = re.findall(rf"^\| `--([a-z-]+)`, `{PREFIX}(\w+)` \| (\S+) \|", PAGE, re.MULTILINE)
    assert rows
    for flag, variable, default in rows:
        assert flag.replace("-", "_").upper() == variable
        known = Settings.model_fields[variable.lower()].default
        assert default == (f"`{known}`" if known else "nothing")
