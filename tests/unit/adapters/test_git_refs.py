"""What a ref stands for: a branch before a tag, and what is written in full only for itself."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.refs import full_names, is_meant, revisions

ID = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ("main", ("refs/heads/main", "refs/tags/main")),
        ("feature/x", ("refs/heads/feature/x", "refs/tags/feature/x", "refs/feature/x")),
        ("heads/main", ("refs/heads/main", "refs/heads/heads/main", "refs/tags/heads/main")),
        ("tags/v1", ("refs/tags/v1", "refs/heads/tags/v1", "refs/tags/tags/v1")),
        ("refs/tags/main", ("refs/tags/main",)),
        ("HEAD", ("HEAD",)),
        (ID, (ID,)),
        (ID[:8], (f"refs/heads/{ID[:8]}", f"refs/tags/{ID[:8]}")),
    ],
)
def test_a_ref_is_a_branch_first_and_a_tag_second(ref, names):
    assert full_names(ref) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("main", ("refs/heads/main", "refs/tags/main", "main")),
        ("main~2^", ("refs/heads/main~2^", "refs/tags/main~2^", "main~2^")),
        ("main@{1}~1", ("refs/heads/main@{1}~1", "refs/tags/main@{1}~1", "main@{1}~1")),
        (
            "origin/main",
            (
                "refs/heads/origin/main",
                "refs/remotes/origin/main",
                "refs/tags/origin/main",
                "refs/origin/main",
                "origin/main",
            ),
        ),
        ("refs/remotes/origin/main~1", ("refs/remotes/origin/main~1",)),
        ("main@{upstream}", ("main@{upstream}",)),
        ("@", ("@",)),
        ("@~1", ("@~1",)),
        ("@{-1}", ("@{-1}",)),
        ("HEAD^", ("HEAD^",)),
        (ID[:8], (f"refs/heads/{ID[:8]}", f"refs/tags/{ID[:8]}", ID[:8])),
    ],
)
def test_steps_are_counted_from_the_branch(text, names):
    assert revisions(text) == names


@pytest.mark.parametrize(
    ("ref", "pushed"),
    [
        ("main", "refs/heads/main"),
        ("main", "refs/tags/main"),
        ("heads/main", "refs/heads/main"),
        ("tags/v1", "refs/tags/v1"),
        ("refs/heads/main", "refs/heads/main"),
        ("HEAD", "refs/heads/anything"),
        ("@~1", "refs/heads/anything"),
        ("main~1", "refs/heads/main"),
    ],
)
def test_a_push_to_what_the_ref_may_stand_for_is_meant(ref, pushed):
    assert is_meant(ref, pushed)


@pytest.mark.parametrize(
    ("ref", "pushed"),
    [
        ("main", "refs/heads/other"),
        ("main", "refs/heads/feature/main"),
        ("heads/main", "refs/heads/other"),
        ("refs/heads/main", "refs/tags/main"),
        ("HEAD", "refs/tags/v1"),
        (ID, "refs/heads/main"),
    ],
)
def test_a_push_to_anything_else_is_not(ref, pushed):
    assert not is_meant(ref, pushed)
