"""How the two sides of a plan are named."""

import pytest

from reconciler.cli.compare import _without_credentials, _without_ref


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://user:p@ss?w@db.example.com/jobs?tls=true", "mongodb://db.example.com/jobs"),
        ("mongodb+srv://db.example.com/jobs", "mongodb+srv://db.example.com/jobs"),
        ("sqlite:///of@home/state.db", "sqlite:///of@home/state.db"),
    ],
)
def test_a_store_is_shown_without_credentials(url, shown):
    assert _without_credentials(url) == shown


@pytest.mark.parametrize(
    ("source", "without"),
    [
        ("git+https://example.com/a.git?ref=main&path=m", "git+https://example.com/a.git?path=m"),
        ("git+https://example.com/a.git?ref=main", "git+https://example.com/a.git"),
        ("git+https://example.com/a.git?path=ref=x", "git+https://example.com/a.git?path=ref=x"),
        ("folder?ref=main", "folder?ref=main"),
    ],
)
def test_the_ref_of_an_address_gives_way_to_one_that_is_named(source, without):
    assert _without_ref(source) == without
