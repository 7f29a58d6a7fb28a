"""Requests: addresses, headers, parameters, bodies, expected answers."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.request import (
    Expect,
    Parameter,
    Request,
    Retry,
    Scalar,
    check_header_name,
    check_header_value,
    check_path,
    check_status,
    check_url,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example",
        "http://x.example:8080/a?b=c",
        "HTTPS://[::1]/",
        "https://x.example/a@b",
        "https://x.example?mail=a@b",
        "https://müller.example/ü",
    ],
)
def test_absolute_urls_are_accepted(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "begins with http"),
        ("x.example/a", "begins with http"),
        ("ftp://x.example", "begins with http"),
        ("file:///etc/passwd", "begins with http"),
        ("javascript:alert(1)", "begins with http"),
        ("https://x.example/a b", "no spaces"),
        ("https://x.example/a\n", "no spaces"),
        ("https://x.example/\u00a0", "no spaces"),
        ("https://user:secret@x.example", "no credentials"),
        ("https://user@x.example", "no credentials"),
        ("https://@x.example", "no credentials"),
        ("https://user:secret@[x", "no credentials"),
        ("https://user:secret", "host or port"),
        ("https://[::1", "host or port"),
        ("https://x.example:99999", "host or port"),
        ("https://", "names no host"),
        ("https:/x.example", "names no host"),
        ("https://:80/", "names no host"),
        ("https://x.example\\@y.example", "no credentials"),
        ("https://x.example/\\y", "names no host"),
        ("https://x.example:0/", "from 1 to 65535"),
        ("https://x.example/#a", "no #fragment"),
    ],
)
def test_other_urls_are_refused_without_being_repeated(url, said):
    with pytest.raises(ValueError, match=said) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [("a", "begins with /"), ("", "begins with /"), ("/a b", "no spaces"), ("/a#b", "neither"), ("/a\\b", "neither")],
)
def test_a_path_begins_with_a_slash_and_is_clean(path, said):
    assert check_path("/a/b?c=d") == "/a/b?c=d"
    with pytest.raises(ValueError, match=said):
        check_path(path)


@pytest.mark.parametrize("name", ["Accept", "X-Team", "Content-Type", "Authorization", "x_y.z"])
def test_header_names_are_tokens(name):
    assert check_header_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "not a header name"),
        ("a b", "not a header name"),
        ("a:", "not a header name"),
        ("a\r\nb", "not a header name"),
        ("ä", "not a header name"),
        ("Host", "set by the reconciler"),
        ("CONTENT-LENGTH", "set by the reconciler"),
        ("Transfer-Encoding", "set by the reconciler"),
        ("idempotency-key", "set by the reconciler"),
        ("X-Reconciler-Job", "set by the reconciler"),
    ],
)
def test_header_names_that_are_no_token_or_not_ones_own_are_refused(name, said):
    with pytest.raises(ValueError, match=said):
        check_header_name(name)


@pytest.mark.parametrize("value", ["", "a b", "größe"])
def test_header_values_are_lines_of_latin_1(value):
    assert check_header_value(value) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [("a\nb", "one line"), ("a\r", "one line"), ("\0", "one line"), ("\x7f", "one line"), ("€", "Latin-1")],
)
def test_other_header_values_are_refused(value, said):
    with pytest.raises(ValueError, match=said):
        check_header_value(value)


def test_a_header_stands_once_whatever_its_capitals():
    with pytest.raises(ValidationError, match="stands here twice"):
        Request.model_validate({"headers": {"Accept": "a", "accept": "b"}})


@pytest.mark.parametrize(("value", "text"), [(200, "200"), ("2xx", "2xx"), ("200-204", "200-204"), ("404", "404")])
def test_statuses_are_numbers_classes_and_ranges(value, text):
    assert check_status(value) == text


@pytest.mark.parametrize("value", [True, 20, 600, "2x", "6xx", "204-200", "200-", "OK", None, 2.5, [200]])
def test_other_statuses_are_refused(value):
    with pytest.raises(ValueError, match="status"):
        check_status(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a", "a"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.5, "1.5"),
        ([], ()),
        (["a", 1, True], ("a", "1", "true")),
    ],
)
def test_parameters_are_sent_as_text(value, read):
    assert TypeAdapter(Parameter).validate_python(value) == read


@pytest.mark.parametrize("value", [None, {"a": 1}, [["a"]], [None]])
def test_other_parameters_are_refused(value):
    with pytest.raises(ValidationError, match="must be a string, a number"):
        TypeAdapter(Parameter).validate_python(value)


def test_a_scalar_is_no_list():
    assert TypeAdapter(Scalar).validate_python(5) == "5"
    with pytest.raises(ValidationError, match="must be a string, a number"):
        TypeAdapter(Scalar).validate_python(["a"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "https://x.example", "path": "/"}, "either `url` or `path`"),
        ({"method": "POST", "json": 1, "form": {}}, "give one body"),
        ({"method": "POST", "text": "", "json": None}, "give one body"),
        ({"json": 1}, "a GET request carries no body"),
        ({"method": "HEAD", "text": "x"}, "a HEAD request carries no body"),
        ({"method": "OPTIONS", "form": {}}, "an? OPTIONS request carries no body"),
        ({"method": "POST", "json": 1, "contentType": "a/b"}, "`contentType` goes with `text`"),
        (
            {"method": "POST", "text": "x", "contentType": "a/b", "headers": {"content-type": "c/d"}},
            "content type once",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Request.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"method": "DELETE", "json": {"a": 1}},
        {"method": "POST", "text": "<a/>", "contentType": "application/xml"},
        {"method": "POST", "text": "x", "headers": {"Content-Type": "a/b"}},
    ],
)
def test_what_goes_together_is_accepted(fields):
    assert Request.model_validate(fields).model_dump(by_alias=True, exclude_unset=True) == fields


@pytest.mark.parametrize(("value", "read"), [(True, 5), (False, 0), (0, 0), (1, 1), (5, 5)])
def test_redirects_are_followed_as_often_as_said(value, read):
    assert Request.model_validate({"followRedirects": value}).follow_redirects == read
    assert Request().follow_redirects == 0


@pytest.mark.parametrize("value", [6, -1, 1.0, "2", "yes", None, [1]])
def test_another_number_of_redirects_is_refused(value):
    with pytest.raises(ValidationError, match="followRedirects"):
        Request.model_validate({"followRedirects": value})


def test_the_usual_answer_and_the_usual_retry():
    assert Expect().status == ("2xx",)
    retry = Retry()
    assert (retry.limit, retry.factor) == (0, 2.0)
    assert (retry.initial_delay.total_seconds(), retry.max_delay.total_seconds()) == (1, 300)
