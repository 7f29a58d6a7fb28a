"""What a redirect asks for, and what never goes along."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import HttpRequest
from reconciler.core.redirects import Refusal, follow, is_credential, place

HERE = "https://api.example.com/v1/users?page=2"
CREDENTIALS = {
    "Authorization": "Bearer abc",
    "cookie": "session=abc",
    "Proxy-Authorization": "Basic abc",
    "X-Api-Key": "abc",
    "X-ApiKey": "abc",
    "Ocp-Apim-Subscription-Key": "abc",
    "X-Auth-Token": "abc",
    "PRIVATE-TOKEN": "abc",
    "X-Client-Secret": "abc",
    "X-Password": "abc",
    "X-Hub-Signature-256": "sha256=abc",
    "X-Session-Id": "abc",
    "X-CSRF": "abc",
    "X-Goog-Credential": "abc",
    "X-JWT": "abc",
}
PLAIN = {
    "Accept": "text/csv",
    "Idempotency-Key": "0191",
    "X-Reconciler-Job": "billing/nightly",
    "User-Agent": "x",
    "X-Env": "staging",
}


def request(method: str = "GET", url: str = HERE, **fields) -> HttpRequest:
    return HttpRequest(method=method, url=url, follow_redirects=5, **fields)


def then(location: str, status: int = 302, *, followed: int = 0, of: HttpRequest | None = None) -> HttpRequest:
    found = follow(of or request(), status, location, followed=followed)
    assert isinstance(found, HttpRequest), found
    return found


def refusal(location: str, *, followed: int = 0, of: HttpRequest | None = None) -> str:
    found = follow(of or request(), 302, location, followed=followed)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 399, 404])
def test_other_answers_are_taken_as_they_are(status):
    assert follow(request(), status, "/x", followed=0) is None


def test_a_redirect_that_leads_nowhere_or_is_not_to_be_followed_is_taken_as_it_is():
    assert follow(request(), 302, None, followed=0) is None
    assert follow(HttpRequest(method="GET", url=HERE), 302, "/x", followed=0) is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://api.example.com/x"),
        ("x", "https://api.example.com/v1/x"),
        ("../x?y=1#part", "https://api.example.com/x?y=1"),
        ("?page=3", "https://api.example.com/v1/users?page=3"),
        ("", "https://api.example.com/v1/users?page=2"),
        ("//other.example/x", "https://other.example/x"),
        ("HTTPS://Other.Example/x", "https://Other.Example/x"),
        ("  /a b  ", "https://api.example.com/a%20b"),
        ("/Gr\xc3\xbc\xc3\x9fe", "https://api.example.com/Grüße"),
        ("/Gr\xfc\xdfe", "https://api.example.com/Grüße"),
        ("/☃", "https://api.example.com/☃"),
    ],
)
def test_where_it_leads_is_read_against_the_address_that_was_called(location, url):
    assert then(location).url == url


@pytest.mark.parametrize(
    ("method", "status", "becomes"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("PATCH", 302, "PATCH"),
        ("DELETE", 303, "GET"),
        ("DELETE", 302, "DELETE"),
        ("HEAD", 303, "HEAD"),
        ("GET", 303, "GET"),
        ("HEAD", 302, "HEAD"),
    ],
)
def test_the_method_becomes_what_browsers_make_of_it(method, status, becomes):
    sent = request(method, headers={"Content-Type": "text/csv", "content-language": "en", "Accept": "x"}, body="a,b")
    found = then("/x", status, of=sent)
    assert found.method == becomes
    if becomes == method:
        assert (found.body, found.headers) == ("a,b", sent.headers)
    else:
        assert (found.body, found.headers) == (None, {"Accept": "x"})


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/x",
        "//other.example/x",
        "https://api.example.com:8443/x",
        "https://sub.api.example.com/x",
        "https://example.com/x",
        "https://api.example.com.evil.example/x",
        "https://api.example.com%2eevil.example/x",
    ],
)
def test_credentials_do_not_go_to_another_host_or_port_and_the_rest_does(location):
    sent = request(headers=CREDENTIALS | PLAIN)
    assert then(location, of=sent).headers == PLAIN


def test_credentials_do_not_go_to_another_scheme():
    sent = request(url="http://api.example.com/", headers=CREDENTIALS | PLAIN)
    assert then("https://api.example.com/", of=sent).headers == PLAIN


@pytest.mark.parametrize(
    "location", ["/x", "https://api.example.com/x", "https://API.example.com:443/x", "//api.example.com./x"]
)
def test_credentials_stay_within_their_origin(location):
    sent = request(headers=CREDENTIALS | PLAIN)
    assert then(location, of=sent).headers == sent.headers


def test_credentials_do_not_come_back_on_the_way_home():
    away = then("https://other.example/", of=request(headers=CREDENTIALS | PLAIN))
    assert then(HERE, of=away, followed=1).headers == PLAIN


@pytest.mark.parametrize("status", [307, 308])
def test_a_body_goes_along_where_the_method_does_and_credentials_still_do_not(status):
    sent = request("POST", headers=CREDENTIALS | {"Content-Type": "text/csv"}, body="a,b")
    found = then("https://other.example/", status, of=sent)
    assert (found.method, found.body, found.headers) == ("POST", "a,b", {"Content-Type": "text/csv"})


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credential_headers_are_known_by_name(name):
    assert is_credential(name)
    assert is_credential(name.upper())


@pytest.mark.parametrize("name", [*PLAIN, "Content-Type", "If-None-Match", "Prefer", "Traceparent"])
def test_other_headers_are_not_taken_for_credentials(name):
    assert not is_credential(name)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        (
            "http://api.example.com/x?token=abc",
            "redirect to http://api.example.com/x is not followed: it would leave https",
        ),
        ("ftp://a.example/", "a URL begins with http:// or https://"),
        ("file:///etc/passwd", "a URL begins with http:// or https://"),
        ("javascript:alert(1)", "a URL begins with http:// or https://"),
        ("gopher://127.0.0.1:6379/_x", "a URL begins with http:// or https://"),
        ("https://user:abc@other.example/", "a URL carries no credentials"),
        ("https://api.example.com@other.example/", "a URL carries no credentials"),
        ("https://[::1/", "not a URL: its host or port cannot be read"),
        ("https://a.example:port/", "not a URL: its host or port cannot be read"),
        ("https://a.example:0/", "the URL's port must be from 1 to 65535"),
        ("https:\\\\other.example/", "the URL names no host"),
        ("/\\other.example/", "the URL names no host"),
        ("/x\ty", "a URL has no spaces or control characters"),
        ("/x\x00y", "a URL has no spaces or control characters"),
        ("https://a.example/\u202e", "a URL has no spaces or control characters"),
    ],
)
def test_what_may_not_be_called_is_not_followed(location, said):
    reason = refusal(location)
    assert reason.startswith("redirect to ")
    assert said in reason
    assert "abc" not in reason


def test_no_more_are_followed_than_declared():
    assert then("/x", followed=4).url
    assert refusal("/x?token=abc", followed=5) == "redirect to /x is not followed: more than 5 redirects"
    one = HttpRequest(method="GET", url=HERE, follow_redirects=1)
    assert refusal("/x", followed=1, of=one) == "redirect to /x is not followed: more than 1 redirect"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:abc@a.example/x?token=abc#abc", "https://a.example/x"),
        ("//user@a.example", "//a.example"),
        ("/x?token=abc", "/x"),
        ("/x\x1b[2Jy", "/x␛[2Jy"),
        ("/" + "x" * 300, "/" + "x" * 199 + "…"),
    ],
)
def test_where_it_leads_is_shown_without_what_may_be_secret(location, shown):
    assert place(location) == shown


@given(st.text(max_size=80), st.sampled_from([301, 302, 303, 307, 308]))
def test_no_location_takes_a_credential_elsewhere_or_breaks_anything(location, status):
    found = follow(request("POST", headers=CREDENTIALS, body="x"), status, location, followed=0)
    if isinstance(found, HttpRequest):
        assert urlsplit(found.url).scheme == "https"
        if (urlsplit(found.url).hostname or "").rstrip(".") != "api.example.com":
            assert found.headers == {}
    else:
        assert isinstance(found, Refusal)
