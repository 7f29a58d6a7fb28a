"""What git says is passed on without what opens the door."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.command import Git

TOKEN = "made-up-token-of-nobody"
URL = "https://git.example.com/team/jobs"


@pytest.mark.parametrize(
    "said",
    [
        f"fatal: could not read Password for '{TOKEN}'",
        f"remote: {TOKEN} has expired",
        f"fatal: Authentication failed for 'https://x-access-token:{TOKEN}@git.example.com/team/jobs/'",
        f"warning: redirecting to https://git.example.com/?token={TOKEN}&again={TOKEN}",
    ],
)
def test_the_token_stands_in_no_complaint(said):
    shown = Git((), url=URL, token=TOKEN).clean(said)
    assert TOKEN not in shown
    assert shown


def test_nor_do_credentials_that_git_found_elsewhere():
    said = "fatal: unable to access 'https://dev:made-up@git.example.com/team/jobs/': refused"
    assert Git((), url=URL).clean(said) == "fatal: unable to access 'https://git.example.com/team/jobs/': refused"


def test_without_a_token_everything_else_is_said_as_it_is():
    assert Git((), url=URL).clean("fatal: not found\r\n") == "fatal: not found"
