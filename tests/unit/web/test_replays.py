from reconciler.web.replays import REMEMBERED, Replays


def test_a_body_is_new_once():
    replays = Replays()
    assert replays.is_new(b"a")
    assert not replays.is_new(b"a")
    assert replays.is_new(b"b")


def test_a_body_under_another_id_is_new():
    replays = Replays()
    assert replays.is_new(b"a", b"1")
    assert replays.is_new(b"a", b"2")
    assert not replays.is_new(b"a", b"1")
    assert replays.is_new(b"a")
    assert replays.is_new(b"a1", b""), "an id is no part of a body"


def test_only_the_newest_bodies_are_remembered():
    replays = Replays(2)
    assert [replays.is_new(body) for body in (b"a", b"b", b"c")] == [True, True, True]
    assert not replays.is_new(b"b")
    assert replays.is_new(b"a"), "it was the oldest of three"
    assert replays.is_new(b"b"), "it was the oldest then: being seen again does not make it younger"


def test_ten_thousand_bodies_are_remembered():
    replays = Replays()
    for number in range(REMEMBERED):
        replays.is_new(b"%d" % number)
    assert not replays.is_new(b"0")
    assert replays.is_new(b"another")
    assert replays.is_new(b"0")
    assert REMEMBERED == 10_000
