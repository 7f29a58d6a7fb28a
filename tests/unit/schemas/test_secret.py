"""References to secret values: what may be written, and what is said of a slip of the pen."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.request import Request
from schemas.secret import SecretRef, references

SEALED = f"v1.0a1b2c3d.{'A' * 64}"
VALUE = "hunter2-hunter2"


def complaint(**request) -> str:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"method": "POST"} | request)
    (error,) = caught.value.errors(include_input=False)
    return error["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("written", "form", "name"),
    [
        ({"env": "BILLING_KEY"}, "env", "BILLING_KEY"),
        ({"file": "/run/secrets/key"}, "file", "/run/secrets/key"),
        ({"file": "billing/key"}, "file", "billing/key"),
        ({"sealed": SEALED}, "sealed", SEALED),
    ],
)
def test_each_form_may_stand_in_headers_query_and_form(written, form, name):
    for field in ("headers", "query", "form"):
        request = Request.model_validate({"method": "POST", field: {"x": written}})
        found = getattr(request, field)["x"]
        assert (found.form, found.name) == (form, name)
        assert request.model_dump(mode="json", by_alias=True, exclude_unset=True)[field] == {"x": written}


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"env": "A", "file": "/b"},
        {"evn": "A"},
        {"env": "A", "default": "x"},
        {"value": VALUE},
    ],
)
def test_a_reference_names_exactly_one_place(written):
    said = complaint(headers={"X": written})
    assert said == "a secret value is named by exactly one of env, file and sealed: {env: NAME}"


@pytest.mark.parametrize("name", ["", "A-B", "1A", "A B", "Ä", 3, None, ["A"], "A" * 254])
def test_a_variable_has_a_name_that_a_shell_can_set(name):
    assert "names a variable" in complaint(headers={"X": {"env": name}})


@pytest.mark.parametrize("name", ["RECONCILER_TRIGGER_TOKEN", "RECONCILER_SEALING_KEYS", "reconciler_x"])
def test_the_reconcilers_own_variables_are_sent_to_nobody(name):
    assert "sent to nobody" in complaint(headers={"X": {"env": name}})


@pytest.mark.parametrize("path", ["", "/run/", 3, None, "x" * 1025])
def test_a_file_is_named_by_its_path(path):
    assert "is the path of a file" in complaint(headers={"X": {"file": path}})


@pytest.mark.parametrize("path", ["../key", "/run/../etc/shadow", "a/.."])
def test_a_path_does_not_lead_out_again(path):
    assert "no .. in it" in complaint(headers={"X": {"file": path}})


def test_a_path_holds_nothing_invisible():
    assert "U+0000" in complaint(headers={"X": {"file": "/a\0b"}})


@pytest.mark.parametrize("text", ["", VALUE, SEALED[:-1], SEALED + "=", SEALED.replace("v1", "v2"), 3, f"{SEALED}\n"])
def test_a_sealed_value_is_one_that_seal_has_printed(text):
    said = complaint(headers={"X": {"sealed": text}})
    assert "reconciler seal" in said
    assert VALUE not in said


@pytest.mark.parametrize("where", ["query", "form"])
def test_a_reference_does_not_stand_in_a_list(where):
    assert "stands alone" in complaint(**{where: {"x": ["a", {"env": "A"}]}})


def test_in_a_json_body_it_stands_at_any_depth():
    body = {"user": {"a/b~c": [1, {"$secret": {"env": "A"}}]}, "plain": {"env": "data"}, "n": None}
    request = Request.model_validate({"method": "POST", "json": body})
    assert [(pointer, str(ref.env)) for pointer, ref in references(request.json_body)] == [("/user/a~1b~0c/1", "A")]
    assert next(references({"$secret": {"env": "A"}}))[0] == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"a": {"$secret": {"env": "A"}, "b": 1}}, "/a: `$secret` stands alone in its mapping"),
        ({"a": {"$secret": {"env": "A"}, "$else": 1}}, "/a: `$secret` stands alone in its mapping"),
        ({"a": [{"$secret": "A"}]}, "/a/0: a secret value is named by exactly one of"),
        ({"a": {"$secret": {"env": 3}}}, "/a: `env` names a variable"),
        ({"$secret": {}}, "a secret value is named by exactly one of"),
        ({"a": {"$secert": {"env": "A"}}}, "/a: a secret value in `json` is written {$secret: {env: NAME}}"),
    ],
)
def test_a_slip_of_the_pen_in_a_json_body_is_told_with_its_place(body, said):
    assert complaint(json=body).startswith(said)


@pytest.mark.parametrize("body", [{"$set": {"a": 1}}, {"$in": ["env"]}, {"$and": {"a": 1, "b": 2}}, {"env": "A"}])
def test_other_keys_with_a_dollar_are_data(body):
    assert Request.model_validate({"method": "POST", "json": body}).json_body == body


def test_text_content_type_and_path_hold_no_references():
    for field in ("text", "contentType", "path", "url"):
        complaint(**{"text": "x", field: {"env": "A"}})


def test_a_reference_is_a_value_of_its_own():
    first = SecretRef(env="A")
    assert {first: 1}[SecretRef(env="A")] == 1
    assert Request(method="POST", headers={"X": first}).headers["X"] is first


def test_a_place_whose_keys_cannot_be_seen_is_said_in_one_line():
    with pytest.raises(ValueError, match=r"^/a\\u00ad\\u000a/0: a secret value is named by exactly one"):
        list(references({"a\xad\n": [{"$secret": "NAME"}]}))
