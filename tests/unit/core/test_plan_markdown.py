"""A plan as a comment on a pull request, rendered as GitHub, GitLab and Gitea would, and read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.core import plan as planning
from reconciler.core.model import FreezeWindow, HttpRequest, Problem, Schedule
from reconciler.core.plan_markdown import MOST_CHARACTERS, as_markdown, code
from reconciler.core.plan_view import Side, SideKind
from tests.unit.core.plans import application, declared, stored, view

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
MAIN = Side(kind=SideKind.SOURCE, name="main", revision="0123456789abcdef")
WINDOW = FreezeWindow(
    name="year-end", mode="deny", start=Schedule(declared="@yearly", cron="0 0 1 1 *"), duration=timedelta(days=9)
)
NASTY = "a|b `c` **d** <script>alert(1)</script> @everyone #1 <!-- --> [x](http://y) \n\r| - $z$ :+1: ~~e~~ &amp; \\"


class Rendered(HTMLParser):
    """The page as a browser has it: its elements, and the text of every cell and piece of code."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.codes, self.rows, self.stack = [], [], [], []
        self.feed(RENDERER.render(text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.stack.append(tag)
        if tag == "code":
            self.codes.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "code" in self.stack:
            self.codes[-1] += data
        if "td" in self.stack or "th" in self.stack:
            self.rows[-1][-1] += data


def changed(**request):
    """A plan that changes one job's request."""
    before = declared(a=application("a", "one"))
    known = stored(before)
    (key,) = known
    job = replace(
        before.jobs[key], request=HttpRequest(**({"method": "GET", "url": "http://x/"} | request)), digest="x"
    )
    return planning.diff(known, replace(before, jobs={key: job}))


def test_it_begins_with_a_mark_by_which_a_pipeline_finds_it_again():
    plan = planning.diff({}, declared(a=application("a", "one")))
    assert as_markdown(view(plan)).splitlines()[:2] == [
        "<!-- reconciler-plan -->",
        "### Plan: 1 to add, 0 to change, 0 to remove",
    ]
    assert as_markdown(view(plan, environment="staging")).startswith("<!-- reconciler-plan staging -->\n")
    assert as_markdown(view(plan, environment="--><b>")).startswith("<!-- reconciler-plan b -->\n")


def test_jobs_stand_in_a_table_with_their_next_runs_and_the_coming_day():
    before = declared(a=application("a", "one", "two"))
    text = application("a", "one", "new").replace('one, schedule: "0 2', 'one, schedule: "0 3,4')
    page = Rendered(as_markdown(view(planning.diff(stored(before), declared(a=text)), before=MAIN)))
    assert page.rows[:4] == [
        ["", "Job", "Next run", "Runs in the coming 24 h"],
        ["+ add", "a/new", "2026-03-03 02:00:00 UTC", "1 run appears"],
        ["~ change", "a/one", "2026-03-03 02:00:00 UTC → 2026-03-03 03:00:00 UTC", "2 runs appear; 1 run vanishes"],
        ["- remove", "a/two", "2026-03-03 02:00:00 UTC", "1 run vanishes"],
    ]
    assert page.tags.count("details") == 3


def test_each_change_opens_to_its_fields():
    before = declared(a=application("a", "one"))
    text = application("a", "one").replace("0 2", "0 3")
    page = Rendered(as_markdown(view(planning.diff(stored(before), declared(a=text)))))
    assert page.rows[2:] == [
        ["Field", "Before", "After"],
        ["schedule", "0 2 * * *", "0 3 * * *"],
        ["in words", "at 02:00 every day (UTC)", "at 03:00 every day (UTC)"],
        ["runs that appear", "", "2026-03-03 03:00:00 UTC"],
        ["runs that vanish", "2026-03-03 02:00:00 UTC", ""],
    ]
    dense = declared(a=application("a", "one").replace("0 2 * * *", "* * * * *"))
    page = Rendered(as_markdown(view(planning.diff({}, dense))))
    assert page.rows[-1][2].endswith("09:05:00 UTC and 1,435 more")


def test_a_renamed_a_suspended_and_a_finished_job():
    known = stored(declared(a=application("a", "old", "ends", "stops")))
    text = application("a", "new", "ends", "stops").replace("name: new,", "name: new, suspend: true,")
    text = text.replace("name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},")
    text = text.replace('ends, schedule: "0 2 * * *"', "ends, schedule: {at: 2020-01-01}")
    page = Rendered(as_markdown(view(planning.diff(known, declared(a=text)))))
    assert [
        "→ rename",
        "a/new (was a/old)",
        "2026-03-03 02:00:00 UTC → never (suspended)",
        "1 run vanishes",
    ] in page.rows
    assert ["~ change", "a/ends", "2026-03-03 02:00:00 UTC → never", "1 run vanishes"] in page.rows


def test_a_job_that_only_gets_another_name_has_no_table_of_fields():
    known = stored(declared(a=application("a", "old")))
    text = application("a", "new").replace("name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},")
    page = Rendered(as_markdown(view(planning.diff(known, declared(a=text.replace("path: /new", "path: /old"))))))
    assert page.rows[1:] == [["→ rename", "a/new (was a/old)", "2026-03-03 02:00:00 UTC", "as before"]]
    assert "details" not in page.tags


def test_a_change_that_moves_no_run_says_so():
    page = Rendered(as_markdown(view(changed(url="http://y/"))))
    assert page.rows[1] == ["~ change", "a/one", "2026-03-03 02:00:00 UTC", "as before"]


def test_it_says_what_is_compared_and_where():
    plan = planning.diff({}, declared(a=application("a", "one")))
    text = as_markdown(view(plan, before=MAIN, environment="staging"))
    assert Rendered(text).codes[:5] == ["main", "0123456789ab", "manifests/", "fedcba987654", "staging"]
    assert "In the coming 24 h: 1 run appears." in text
    assert "From what is stored to " in as_markdown(view(plan))


def test_problems_are_listed_with_their_places_and_old_ones_told_apart():
    one = Problem(file="a.yaml", line=3, column=5, field="spec", message="is wrong")
    two = replace(one, line=9, message="is wrong, too")
    plan = planning.diff({}, declared())
    text = as_markdown(view(plan, problems=[one, two], problems_before=[replace(one, line=1)]))
    assert "- **Problem** (not new): <code>a&#46;yaml&#58;3" in text
    assert "- **Problem**: <code>a&#46;yaml&#58;9" in text
    assert Rendered(text).codes[-1] == "a.yaml:9:5: spec: is wrong, too"


def test_what_is_held_kept_and_stopped_is_noted():
    known = stored(declared(a=application("a", "one"), b=application("b", "one")))
    held = planning.diff(known, declared(a=application("a", "one").replace("0 2", "0 99"), b=application("b", "one")))
    codes = Rendered(as_markdown(view(held, held_before=["b"], before=MAIN))).codes
    assert "a is held: 1 problem; what ran before keeps running" in codes
    assert "a/one stays: a is held" in codes
    assert "b is held at main: what runs of it now is older, so all its jobs are shown as new" in codes
    braked = planning.diff(known, declared(), windows={"year-end": WINDOW})
    braked = planning.brake(braked, declares_nothing=True, allow_prune=False)
    codes = Rendered(as_markdown(view(braked))).codes
    assert "freeze window year-end stays: the brake is on" in codes
    assert sum("lets them go" in text for text in codes) == 2


def test_freeze_windows_have_a_table_of_their_own():
    after = replace(declared(), windows={"year-end": replace(WINDOW, duration=timedelta(days=10)), "new": WINDOW})
    plan = planning.diff({}, after, windows={"year-end": WINDOW, "gone": replace(WINDOW, name="gone")})
    rows = Rendered(as_markdown(view(plan))).rows
    assert rows[0] == ["", "Freeze window", "What changes"]
    assert ["~ change", "year-end", "duration 9d → 10d"] in rows
    assert ["- remove", "gone", ""] in rows
    assert any(row[0] == "+ add" and "mode deny; schedule @yearly" in row[2] for row in rows)


def test_a_hostile_manifest_neither_breaks_the_page_nor_calls_anybody():
    page = Rendered(as_markdown(view(changed(body=NASTY, headers={"X-A": NASTY}))))
    assert "script" not in page.tags
    assert {len(row) for row in page.rows} == {3, 4}
    assert sum("@everyone" in text for text in page.codes) == 2, "within code nobody is called"
    assert any(text.startswith("a|b `c` **d** <script>alert(1)</script> @everyone") for text in page.codes)


@given(st.text(max_size=200))
def test_any_text_is_shown_as_it_is_in_a_cell_of_a_table(text):
    shown = code(text)
    page = Rendered(f"| a | b |\n| --- | --- |\n| {shown} | end |\n")
    assert [len(row) for row in page.rows] == [2, 2]
    assert page.rows[1][1] == "end"
    assert page.tags.count("code") == 1
    if text.isprintable():
        assert page.codes == [text]


def test_a_long_value_and_text_that_is_no_unicode_are_bounded_and_printable():
    assert len(Rendered(code("x" * 5000)).codes[0]) <= 300
    assert code("\udcff").encode() == b"<code>&#63;</code>" or code("\udcff") == "<code>?</code>"


@pytest.mark.parametrize("many", [300, 3000])
def test_a_comment_is_never_too_long_and_says_what_it_leaves_out(many):
    names = [f"job-number-{number:05}" for number in range(many)]
    problems = [
        Problem(file="a.yaml", line=number, column=1, field="spec", message="m" * 500) for number in range(1, 100)
    ]
    text = as_markdown(view(planning.diff({}, declared(a=application("a", *names))), problems=problems))
    assert len(text) <= MOST_CHARACTERS
    ending = text.splitlines()[-1]
    assert ending.startswith("Not shown: 49 more problems, ")
    assert "more field tables" in ending
    assert ("more jobs" in ending) is (many == 3000)
    assert ending.endswith("`--output json` has them all.")
    assert text.count("<details>") == text.count("</details>"), "nothing is cut in the middle"


def test_a_job_that_follows_another_says_so_instead_of_its_next_run():
    before = declared(a=application("a", "one", "two"))
    after = declared(a=application("a", "one", "two").replace('"0 2 * * *"', "{after: {job: two}}", 1))
    page = Rendered(as_markdown(view(planning.diff(stored(before), after))))
    assert "after a/two succeeds" in page.codes
