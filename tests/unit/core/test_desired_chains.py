"""Jobs that follow other jobs: what they name must be there, and none may come to follow itself."""

from __future__ import annotations

import pytest

from reconciler.core.desired import build
from reconciler.core.desired_chains import circles
from reconciler.core.manifests import parse
from reconciler.core.model import After, JobKey
from reconciler.core.plan import diff
from tests.unit.core.plans import declared, stored

FIELD = "spec.schedule.after.job"


def application(name="app", extra=""):
    return f"apiVersion: reconciler/v1\nkind: Application\nmetadata: {{name: {name}}}\nspec: {{baseUrl: http://x{extra}}}\n"


def api(name, schedule="'@daily'", owner="app", more=""):
    return (
        f"---\napiVersion: reconciler/v1\nkind: Api\nmetadata: {{name: {name}, application: {owner}}}\n"
        f"spec: {{schedule: {schedule}, request: {{path: /}}{more}}}\n"
    )


def after(job, on=""):
    return f"{{after: {{job: {job}{f', on: {on}' if on else ''}}}}}"


def problems(desired):
    return [str(each) for each in desired.problems]


class TestGood:
    @pytest.mark.parametrize("job", ["a", "app/a"])
    def test_a_job_of_the_same_application_needs_no_application(self, job):
        desired = declared(x=application() + api("a") + api("b", after(job)))
        schedule = desired.jobs[JobKey("app", "b")].schedule
        assert schedule.after == After(key=JobKey("app", "a"))
        assert (schedule.declared, schedule.zone, schedule.cron) == ("after app/a", "UTC", None)

    @pytest.mark.parametrize("on", ["success", "failure", "completion"])
    def test_it_says_which_ends_are_followed(self, on):
        schedule = declared(x=application() + api("a") + api("b", after("a", on))).jobs[JobKey("app", "b")].schedule
        assert schedule.after == After(key=JobKey("app", "a"), on=on)
        assert schedule.declared == ("after app/a" if on == "success" else f"after app/a on {on}")

    def test_a_chain_may_lead_over_applications_and_fork(self):
        texts = application() + application("other").replace("api", "---\napi", 1)
        texts += (
            api("a", owner="app")
            + api("b", after("app/a"), "other")
            + api("c", after("other/b"))
            + api("d", after("other/b"))
        )
        desired = declared(x=texts)
        assert problems(desired) == []
        assert len(desired.jobs) == 4

    def test_a_zone_that_is_inherited_is_no_mistake(self):
        texts = application(extra=", defaults: {timeZone: Europe/Berlin}") + api("a") + api("b", after("a"))
        assert problems(declared(x=texts)) == []

    def test_a_job_of_a_held_application_counts(self):
        texts = application() + api("b", after("other/a"))
        held = application("other") + api("a", owner="other") + api("z", "5", owner="other")
        desired = declared(x=texts, y=held)
        assert list(desired.held) == ["other"]
        assert list(desired.jobs) == [JobKey("app", "b")]

    def test_a_job_of_an_application_that_cannot_be_read_may_be_there(self):
        flawed = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: other}\nspec: {apis: 5}\n"
        desired = declared(x=application() + api("b", after("other/a")), y=flawed)
        assert list(desired.held) == ["other"]

    def test_a_job_with_a_mistake_is_there(self):
        texts = application() + api("b", after("other/a")) + "---\n" + application("other")
        desired = declared(x=texts, y=api("a", owner="other", more=", xyz: 1"))
        assert list(desired.held) == ["other"]


class TestMissing:
    @pytest.mark.parametrize(
        ("job", "said"),
        [
            ("nightli", "there is no Api `nightli` of app (did you mean `nightly`?)"),
            ("app/x", "there is no Api `x` of app"),
            ("ap/nightly", "there is no Application `ap` (did you mean `app`?)"),
            ("zzz/nightly", "there is no Application `zzz`"),
            ("A/b", "not a job; write application/api, or the api alone for one of the same Application"),
            ("a/b/c", "not a job; write application/api, or the api alone for one of the same Application"),
        ],
    )
    def test_a_job_that_is_not_there_is_told_at_its_place_and_holds_the_application(self, job, said):
        desired = declared(x=application() + api("nightly"), y=api("report", after(job)))
        assert problems(desired) == [f"y.yaml:5:32: {FIELD}: {said}"]
        assert list(desired.held) == ["app"]

    def test_it_may_stand_in_a_file_that_cannot_be_read(self):
        desired = declared(x=application() + api("nightly"), y=api("report", after("zzz")), z="kind: [")
        assert (
            "there is no Api `zzz` of app; it may stand in z.yaml, which cannot be read in full" in problems(desired)[0]
        )

    def test_it_is_told_too_where_the_application_has_problems_of_its_own(self):
        flawed = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: app}\nspec: {baseUrl: 5}\n"
        desired = declared(x=flawed, y=application("other") + api("b", after("other/c"), owner="app"))
        assert f"y.yaml:9:32: {FIELD}: there is no Api `c` of other" in problems(desired)

    @pytest.mark.parametrize(
        ("more", "name"),
        [("startsAt: 2026-01-01", "startsAt"), ("endsAt: 2027-01-01", "endsAt"), ("timeZone: UTC", "timeZone")],
    )
    def test_bounds_have_no_meaning_there(self, more, name):
        desired = declared(x=application() + api("a"), y=api("b", after("a"), more=f", {more}"))
        (problem,) = problems(desired)
        assert problem.endswith(f"spec.{name}: `{name}` has no meaning for a job that follows another one; remove it")

    def test_a_freeze_window_does_not_begin_after_a_job(self):
        text = "apiVersion: reconciler/v1\nkind: FreezeWindow\nmetadata: {name: w}\n"
        text += "spec: {duration: 1h, start: {after: {job: a/b}}}\n"
        (problem,) = problems(declared(x=text))
        assert "spec.start: a start is a cron string, or a mapping with exactly one of" in problem

    def test_a_patch_that_makes_a_job_follow_what_is_not_there_is_to_blame(self):
        text = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\n"
        text += "spec: {patches: [{application: app, api: a, spec: {schedule: {after: {job: nix}}}}]}\n"
        files = {name: parse(name, each.encode()) for name, each in (("e", text), ("x", application() + api("a")))}
        desired = build(files, None, "staging")
        (problem,) = problems(desired)
        assert problem.startswith("e:4:")
        assert problem.endswith("there is no Api `nix` of app")
        assert list(desired.held) == ["app"]


class TestCircles:
    def test_a_job_cannot_follow_itself(self):
        assert problems(declared(x=application() + api("a", after("a")))) == [
            f"x.yaml:9:32: {FIELD}: a job cannot follow itself"
        ]

    def test_each_member_of_a_circle_is_told_and_named_and_no_other_job(self):
        texts = {
            "w": application() + api("a", after("other/b")) + api("tail", after("a")) + api("fine"),
            "x": application("other") + api("b", after("third/c"), "other"),
            "y": application("third") + api("c", after("app/a", "failure"), "third"),
            "z": application("fourth") + api("d", owner="fourth"),
        }
        desired = declared(**texts)
        said = "these jobs follow each other in a circle:"
        assert problems(desired) == [
            f"w.yaml:9:32: {FIELD}: {said} app/a after other/b after third/c after app/a",
            f"x.yaml:9:32: {FIELD}: {said} other/b after third/c after app/a after other/b",
            f"y.yaml:9:32: {FIELD}: {said} third/c after app/a after other/b after third/c",
        ]
        assert list(desired.held) == ["app", "other", "third"]

    def test_a_circle_of_thousands_is_found_at_once_and_named_in_part(self):
        keys = [JobKey("a", f"j{number}") for number in range(20_000)]
        found = circles(dict(zip(keys, [*keys[1:], keys[0]], strict=True)))
        assert len(found) == 20_000
        assert found[keys[0]].endswith("a/j9 after 19990 more after a/j0")

    def test_what_leads_into_a_circle_is_none_of_it(self):
        a, b, c, d = (JobKey("x", name) for name in "abcd")
        assert set(circles({d: c, c: a, a: b, b: a})) == {a, b}
        assert circles({d: c, c: a, a: b}) == {}


class TestOverWhatIsHeld:
    """What is held stays what it was, and that may close a circle with what is declared now."""

    BEFORE = (application() + api("a", after("other/b")), application("other") + api("b", owner="other"))
    NOW = (
        application() + api("a") + api("broken", "5"),
        application("other") + api("b", after("app/a"), owner="other"),
    )

    def test_the_change_that_would_close_a_circle_waits(self):
        before = declared(x=self.BEFORE[0], y=self.BEFORE[1])
        now = declared(x=self.NOW[0], y=self.NOW[1])
        plan = diff(stored(before), now)
        assert list(now.held) == ["app"]
        assert plan.changes == ()
        assert {str(each.key): each.reason for each in plan.kept} == {
            "app/a": "app is held",
            "other/b": "these jobs follow each other in a circle: other/b after app/a after other/b",
        }

    def test_it_is_made_when_what_was_held_is_mended(self):
        before = declared(x=self.BEFORE[0], y=self.BEFORE[1])
        now = declared(x=self.NOW[0].replace("schedule: 5", "schedule: '@daily'"), y=self.NOW[1])
        assert [str(each.key) for each in diff(stored(before), now).changes] == ["app/a", "app/broken", "other/b"]

    def test_a_circle_that_somebody_has_put_into_the_store_stops_no_plan(self):
        circle = stored(declared(x=application() + api("a") + api("b", after("a"))))
        (a, b) = (JobKey("app", "a"), JobKey("app", "b"))
        follows_b = stored(declared(x=application() + api("b") + api("a", after("b"))))[a]
        held = declared(x=application() + api("z", "5"), y=application("new") + api("one", owner="new"))
        plan = diff({a: follows_b, b: circle[b]}, held)
        assert [str(each.key) for each in plan.changes] == ["new/one"]
