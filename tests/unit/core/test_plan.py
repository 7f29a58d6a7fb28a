"""What is to be done so that the store says what the manifests say, and when nothing is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import plan as planning
from reconciler.core.model import Commit, Era, JobKey, Problem, Retention
from reconciler.core.plan import Action
from reconciler.errors import NotFoundError
from tests.fakes import START
from tests.unit.core.plans import actions, application, declared, states, stored

LATER = START + timedelta(hours=1)


def test_what_is_declared_and_not_stored_is_added():
    plan = planning.diff({}, declared(a=application("a", "one", "two")))
    assert actions(plan) == {"a/one": "add", "a/two": "add"}


def test_what_is_stored_and_declared_no_more_is_removed():
    before = declared(a=application("a", "one", "two"))
    known = stored(before)
    plan = planning.diff(known, declared(a=application("a", "two")))
    assert actions(plan) == {"a/one": "remove"}
    written = planning.stored_jobs(plan, known, revision="r2", now=LATER)
    assert [str(one.key) for one in written] == ["a/two"], "it stands on another line now"


def test_a_changed_field_is_shown_with_its_old_and_new_value():
    before = declared(a=application("a", "one"))
    after = declared(a=application("a", "one", extra="  defaults: {timeout: 5s}"))
    (change,) = planning.diff(stored(before), after).changes
    assert change.action is Action.CHANGE
    assert [(field.field, field.before, field.after) for field in change.fields] == [("timeout", "30s", "5s")]


def test_the_same_declaration_changes_nothing():
    text = application("a", "one")
    plan = planning.diff(stored(declared(a=text)), declared(a=text))
    assert (plan.changes, plan.moved, plan.kept) == ((), (), ())


def test_a_job_that_moved_to_another_line_keeps_its_revision_and_its_beginning():
    before, after = declared(a=application("a", "one")), declared(a="# a comment\n" + application("a", "one"))
    known = stored(before)
    plan = planning.diff(known, after)
    assert plan.changes == ()
    (moved,) = planning.stored_jobs(plan, known, revision="r2", now=LATER)
    assert (moved.revision, moved.since) == ("r1", START)
    assert moved.job.line == known[moved.key].job.line + 1


def test_slots_count_from_the_moment_a_schedule_was_applied_and_only_a_schedule_restarts_them():
    known = stored(declared(a=application("a", "one")))
    faster = declared(a=application("a", "one").replace("0 2", "0 3"))
    patient = declared(a=application("a", "one", extra="  defaults: {timeout: 5s}"))
    resumed = declared(a=application("a", "one", extra="  suspend: true"))
    since = {}
    for name, desired in (("faster", faster), ("patient", patient), ("suspended", resumed)):
        (one,) = planning.stored_jobs(planning.diff(known, desired), known, revision="r2", now=LATER)
        assert one.revision == "r2"
        since[name] = one.since
    assert since == {"faster": LATER, "patient": START, "suspended": LATER}


def test_an_application_with_a_problem_is_held_and_its_jobs_stay_while_others_go_on():
    known = stored(declared(a=application("a", "one", "two"), b=application("b", "one")))
    broken = application("a", "one").replace("0 2", "0 99")
    plan = planning.diff(known, declared(a=broken, b=application("b", "one", "new")))
    assert actions(plan) == {"b/new": "add"}
    assert {str(item.key) for item in plan.kept} == {"a/one", "a/two"}
    assert set(plan.held) == {"a"}


def test_a_file_that_is_not_yaml_holds_the_applications_it_declared():
    before = declared(a=application("a", "one"), b=application("b", "one"))
    plan = planning.diff(stored(before), declared(a="{", b=application("b", "one")), applications=states(before))
    assert set(plan.held) == {"a"}
    assert plan.held["a"][0].file == "a.yaml"
    assert plan.changes == ()


def test_nothing_is_removed_while_a_file_cannot_be_read():
    known = stored(declared(a=application("a", "one"), b=application("b", "one", "two")))
    unread = Problem(file="c.yaml", line=1, column=1, field="", message="cannot be read")
    plan = planning.diff(known, declared(a=application("a", "one"), b=application("b", "two")), unread=[unread])
    assert actions(plan) == {}
    assert "c.yaml" in plan.kept[0].reason


def test_held_applications_are_said_so_with_reasons_and_since_when():
    before = declared(a=application("a", "one"))
    known, apps = stored(before), states(before)
    after = declared(a=application("a", "one").replace("0 2", "0 99"))
    plan = planning.diff(known, after, applications=apps)
    (held,), gone = planning.application_states(plan, after, apps, now=LATER)
    assert (held.held, held.since, gone) == (True, LATER, [])
    assert "a.yaml" in held.problems[0]
    again, _ = planning.application_states(plan, after, {"a": held}, now=LATER + timedelta(hours=1))
    assert again == [], "the same problems again write nothing"
    (released,), _ = planning.application_states(planning.diff(known, before), before, {"a": held}, now=LATER)
    assert (released.held, released.problems) == (False, ())


def test_an_application_that_is_gone_is_removed_unless_its_jobs_were_kept():
    before = declared(a=application("a", "one"), b=application("b", "one", "two"))
    apps = states(before)
    after = declared(b=application("b", "one", "two"))
    plan = planning.diff(stored(before), after)
    assert planning.application_states(plan, after, apps, now=LATER) == ([], ["a"])
    nothing = declared()
    braked = planning.brake(planning.diff(stored(before), nothing), declares_nothing=True, allow_prune=False)
    assert planning.application_states(braked, nothing, apps, now=LATER) == ([], [])


def test_keys_are_in_order():
    plan = planning.diff({}, declared(b=application("b", "one"), a=application("a", "two", "one")))
    assert [change.key for change in plan.changes] == [JobKey("a", "one"), JobKey("a", "two"), JobKey("b", "one")]


def test_problems_of_another_file_do_not_hold_the_applications_of_a_broken_one():
    before = declared(a=application("a", "one"), b=application("b", "one"))
    after = declared(a="{", b=application("b", "one").replace("0 2", "0 99"))
    held = planning.diff(stored(before), after).held
    assert {name: {problem.file for problem in problems} for name, problems in held.items()} == {
        "a": {"a.yaml"},
        "b": {"b.yaml"},
    }


def test_an_application_that_was_never_good_is_kept_as_held_with_its_reasons():
    desired = declared(a="apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: a}\nspec: {baseUrl: 5}\n")
    plan = planning.diff({}, desired)
    (state,), _ = planning.application_states(plan, desired, {}, now=START)
    assert (state.name, state.held, state.base_url) == ("a", True, None)
    assert "baseUrl" in state.problems[0]


@pytest.mark.parametrize("name", ["", "a", "a/", "/b", "a/b/c"])
def test_what_names_no_job_is_refused(name):
    with pytest.raises(NotFoundError, match="APPLICATION/API"):
        JobKey.parse(name)


COMMIT = Commit(id="c" * 40, author="A <a@example.com>", date=START, subject="Call later")


def test_a_change_notes_the_commit_that_made_it_and_a_move_keeps_what_stood_there():
    before = declared(a=application("a", "one", "two"))
    known = stored(before)
    text = application("a", "one", "two").replace("0 2", "0 3", 1)
    first = planning.stored_jobs(
        planning.diff(known, declared(a=text)),
        known,
        revision="r2",
        now=LATER,
        commits={JobKey("a", "one"): COMMIT},
    )
    (changed,) = first
    assert (changed.revision, changed.commit, changed.applied_at) == (COMMIT.id, COMMIT, LATER)
    known |= {changed.key: changed}
    moved = planning.diff(known, declared(a="# moved\n" + text))
    assert moved.changes == ()
    again = {
        one.key.api: one for one in planning.stored_jobs(moved, known, revision="r3", now=LATER + timedelta(hours=1))
    }
    assert (again["one"].revision, again["one"].commit, again["one"].applied_at) == (COMMIT.id, COMMIT, LATER)
    assert (again["two"].revision, again["two"].commit, again["two"].applied_at) == ("r1", None, START)


def test_without_a_known_commit_the_revision_of_the_source_stands():
    (one,) = planning.stored_jobs(
        planning.diff({}, declared(a=application("a", "one"))), {}, revision="r9", now=LATER, commits={}
    )
    assert (one.revision, one.commit) == ("r9", None)


def test_an_application_notes_the_revision_at_which_it_was_seen_held_or_released():
    good, bad = declared(a=application("a", "one")), declared(a=application("a", "one").replace("0 2", "0 99"))

    def after(desired, known, revision):
        plan = planning.diff({}, desired, applications=known)
        written, _ = planning.application_states(plan, desired, known, now=LATER, revision=revision)
        return {state.name: state for state in written} or known

    first = after(good, {}, "r1")
    assert first["a"].revision == "r1"
    assert after(good, first, "r2") == first, "nothing became of it"
    held = after(bad, first, "r3")
    assert (held["a"].held, held["a"].revision) == (True, "r3")
    worse = after(declared(a=application("a", "one").replace("0 2", "99 99")), held, "r4")
    assert worse["a"].problems != held["a"].problems
    assert worse["a"].revision == "r3", "it is held since then, for another reason now"
    assert after(good, worse, "r5")["a"].revision == "r5"


def test_what_an_application_says_of_pruning_is_kept_while_it_is_held():
    good = declared(a=application("a", "one", annotations="reconciler/prune: never"))
    known = states(good)
    assert known["a"].prune == "never"
    bad = declared(a=application("a", "one").replace("0 2", "0 99"))
    (held,), _ = planning.application_states(planning.diff({}, bad), bad, known, now=LATER)
    assert (held.held, held.prune) == (True, "never")


def test_a_job_edited_by_hand_is_a_change_once_its_digest_is_not_believed():
    desired = declared(a=application("a", "one", "two"))
    known = stored(desired)
    one = JobKey("a", "one")
    edited = known | {one: replace(known[one], job=replace(known[one].job, timeout=timedelta(seconds=1)))}
    assert planning.diff(edited, desired).changes == ()
    (change,) = planning.diff(planning.without_digest(edited, {one, JobKey("a", "gone")}), desired).changes
    assert [(field.field, field.before, field.after) for field in change.fields] == [("timeout", "1s", "30s")]
    assert planning.without_digest(known, set()) is known


def test_a_plan_can_leave_what_was_done_by_hand_and_still_follow_the_revision():
    before = declared(a=application("a", "one", "two", "three"))
    known = dict(stored(before))
    one, two, three, made = (JobKey("a", name) for name in ("one", "two", "three", "made"))
    known[one] = replace(known[one], job=replace(known[one].job, timeout=timedelta(seconds=1)))
    known[two] = replace(known[two], job=replace(known[two].job, timeout=timedelta(seconds=1)))
    known[made] = replace(known[three], job=replace(known[three].job, key=made))
    del known[three]
    text = application("a", "one", "two", "three").replace('two, schedule: "0 2', 'two, schedule: "0 3')
    after = declared(a=text)
    edited = {one, two, three, made}
    whole = planning.diff(planning.without_digest(known, edited), after)
    assert actions(whole) == {"a/one": "change", "a/two": "change", "a/three": "add", "a/made": "remove"}
    assert actions(planning.leaving(whole, edited, known)) == {"a/two": "change"}
    assert planning.leaving(whole, set(), known) == whole


class TestEras:
    """What a plan adds to the history of schedules."""

    def eras(self, before, after):
        plan = planning.diff(stored(before), after)
        return planning.eras_of(plan, revision="r2", now=LATER)

    def test_a_new_job_begins_an_era(self):
        after = declared(a=application("a", "one", "two"))
        (era,) = self.eras(declared(a=application("a", "one")), after)
        job = after.jobs[JobKey("a", "two")]
        assert era == Era(key=job.key, begin=LATER, schedule=job.schedule, revision="r2", file="a.yaml", line=job.line)

    def test_only_a_change_of_the_schedule_begins_one(self):
        before = declared(a=application("a", "one"))
        assert self.eras(before, declared(a=application("a", "one", extra="  description: other"))) == []
        assert self.eras(before, declared(a=application("a", "one").replace("/one", "/two"))) == []
        (era,) = self.eras(before, declared(a=application("a", "one").replace("0 2", "0 3")))
        assert era.schedule is not None
        assert era.schedule.cron == "0 3 * * *"

    def test_a_job_that_is_suspended_or_gone_has_no_slots_and_one_that_is_resumed_has(self):
        good, suspended = (declared(a=application("a", "one", extra=extra)) for extra in ("", "  suspend: true"))
        (stopped,), (resumed,) = self.eras(good, suspended), self.eras(suspended, good)
        (gone,) = self.eras(good, declared(a=application("a")))
        assert (stopped.schedule, gone.schedule) == (None, None)
        assert resumed.schedule == good.jobs[JobKey("a", "one")].schedule

    def test_a_job_that_is_only_renamed_goes_on(self):
        before = declared(a=application("a", "one"))
        renamed = application("a", "two").replace(
            "name: two,", "name: two, annotations: {reconciler/renamed-from: a/one},"
        )
        assert self.eras(before, declared(a=renamed)) == []
        (era,) = self.eras(before, declared(a=renamed.replace("0 2", "0 3")))
        assert (era.key, era.begin) == (JobKey("a", "two"), LATER)

    def test_a_held_application_changes_none(self):
        held = declared(a=application("a", "one", "two").replace("0 2", "0 99"))
        assert self.eras(declared(a=application("a", "one")), held) == []


class TestHistory:
    """How long the runs of an Application are kept."""

    def of(self, text):
        return states(declared(a=application("a", "one", extra=text)))["a"].history

    def test_it_is_the_settings_matter_unless_declared(self):
        assert self.of("") is None

    def test_what_is_left_out_has_its_default(self):
        assert self.of("  history: {}") == Retention()
        assert self.of("  history: {keepFor: 7d}") == Retention(keep_for=timedelta(days=7))
        assert self.of("  history: {keepFailuresFor: 7d, keepPerJob: 5}") == Retention(
            keep_failures_for=timedelta(days=7), keep_per_job=5
        )

    def test_failures_are_kept_no_shorter_than_other_runs_unless_it_says_so(self):
        year = timedelta(days=365)
        assert self.of("  history: {keepFor: 365d}") == Retention(keep_for=year, keep_failures_for=year)
        assert self.of("  history: {keepFor: 365d, keepFailuresFor: 1d}") == Retention(
            keep_for=year, keep_failures_for=timedelta(days=1)
        )
