"""Annotations of ours are checked wherever they stand; those of others are free."""

from __future__ import annotations

import pytest

from reconciler.core.annotations import prune_of
from reconciler.core.manifests import parse
from reconciler.core.model import JobKey
from schemas.annotations import RENAMED_FROM

HEAD = "apiVersion: reconciler/v1\nkind: "
NONE = "there is no such annotation; keys that begin with reconciler/ are the reconciler's own"
KEY = '"reconciler/{}"'


def manifest(kind: str, annotations: str, spec: str = "{}") -> str:
    owner = ", application: billing" if kind == "Api" else ""
    return f"{HEAD}{kind}\nmetadata: {{name: billing{owner}, annotations: {annotations}}}\nspec: {spec}\n"


def complaints(text: str) -> list[str]:
    return [str(each).removeprefix("f.yaml:") for each in parse("f.yaml", text.encode()).problems]


API = "{schedule: '@daily', request: {url: 'https://x.example'}}"
CASES = {
    "unknown": (
        manifest("Application", "{reconciler/prun: allow}"),
        f'3:41: metadata.annotations."reconciler/prun": {NONE} (did you mean `reconciler/prune`?)',
    ),
    "far from any": (
        manifest("Application", "{reconciler/x: allow}"),
        f'3:41: metadata.annotations."reconciler/x": {NONE}; here there is reconciler/prune',
    ),
    "on a kind without any": (
        manifest("FreezeWindow", "{reconciler/x: allow}", "{start: '@daily', duration: 1h}"),
        f'3:41: metadata.annotations."reconciler/x": {NONE}; here there is none',
    ),
    "on the wrong kind": (
        manifest("Api", "{reconciler/prune: allow}", API),
        '3:63: metadata.annotations."reconciler/prune": this annotation belongs on an Application',
    ),
    "the other on the wrong kind": (
        manifest("Application", "{reconciler/renamed-from: a/b}"),
        '3:41: metadata.annotations."reconciler/renamed-from": this annotation belongs on an Api',
    ),
    "a bad choice": (
        manifest("Application", "{reconciler/prune: alow}"),
        '3:59: metadata.annotations."reconciler/prune": must be allow or never, not `alow` (did you mean `allow`?)',
    ),
    "no job": (
        manifest("Api", "{reconciler/renamed-from: old}", API),
        '3:88: metadata.annotations."reconciler/renamed-from": `old` names no job; jobs are named application/api',
    ),
    "inline": (
        manifest(
            "Application", "{}", "{apis: [{name: a, schedule: '@daily', annotations: {reconciler/renamed-from: a/B}}]}"
        ),
        '4:84: spec.apis[0].annotations."reconciler/renamed-from": `a/B` names no job; jobs are named application/api',
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_a_mistake_in_an_annotation_is_a_problem_at_its_place(text, expected):
    assert complaints(text) == [expected]


@pytest.mark.parametrize(
    "annotations", ["{reconciler/prune: 5}", "{reconciler/prune: }", "[reconciler/prune]", "5", "{5: x}", "null"]
)
def test_annotations_of_a_wrong_type_are_told_once(annotations):
    found = complaints(manifest("Application", annotations))
    assert len(found) == 1


@pytest.mark.parametrize("spec", ["5", "{apis: 5}", "{apis: [5]}", "{apis: [{annotations: 5}]}"])
def test_a_spec_of_a_wrong_type_hides_no_annotation(spec):
    assert any('reconciler/prun"' in each for each in complaints(manifest("Application", "{reconciler/prun: x}", spec)))


def test_annotations_of_others_are_free():
    assert (
        complaints(manifest("Application", "{example.com/prune: '5', reconciler.example.com/x: z, Reconciler: z}"))
        == []
    )


@pytest.mark.parametrize("value", ["allow", "never"])
def test_what_an_application_says_of_its_removal(value):
    (found,) = parse("f.yaml", manifest("Application", f"{{reconciler/prune: {value}}}").encode()).applications
    assert prune_of(found) == value


def test_an_application_says_nothing_of_its_removal_unless_annotated():
    (found,) = parse("f.yaml", manifest("Application", "{}").encode()).applications
    assert prune_of(found) == ""


def test_an_api_says_which_job_it_takes_over_and_where():
    inline = "{apis: [{name: new, schedule: '@daily', annotations: {reconciler/renamed-from: app/inner}}]}"
    parsed = parse(
        "f.yaml",
        (
            manifest("Api", "{reconciler/renamed-from: app/old}", API) + "---\n" + manifest("Application", "{}", inline)
        ).encode(),
    )
    document, within = parsed.apis
    assert (document.renamed_from, within.renamed_from) == (JobKey("app", "old"), JobKey("app", "inner"))
    assert (document.seed, within.seed) == ("app/old", "app/inner")
    assert document.place_of(RENAMED_FROM) == (3, 88)
    assert document.path_of(RENAMED_FROM) == 'metadata.annotations."reconciler/renamed-from"'
    assert within.path_of(RENAMED_FROM) == 'spec.apis[0].annotations."reconciler/renamed-from"'
