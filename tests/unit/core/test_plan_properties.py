"""What holds for any two sets of jobs: a plan leads from one to the other, once."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import plan as planning
from reconciler.core.model import JobKey
from reconciler.core.plan import Action
from tests.fakes import START
from tests.unit.core.plans import application, declared, stored

LATER = START + timedelta(hours=1)
SCHEDULES = ("0 2 * * *", "*/5 * * * *", "H H * * *")
apis = st.dictionaries(
    st.sampled_from(["one", "two", "three", "four", "five"]),
    st.tuples(st.sampled_from(SCHEDULES), st.sampled_from(["5s", "10s"]), st.booleans()),
    max_size=5,
)
sides = st.fixed_dictionaries({}, optional={"a": apis, "b": apis})


def manifests(side, renamed=()):
    texts = {}
    for name, jobs in side.items():
        lines = [application(name)] + (["  apis:"] if jobs else [])
        for api, (schedule, timeout, suspend) in jobs.items():
            old = dict(renamed).get((name, api))
            extra = f", annotations: {{reconciler/renamed-from: {old}}}" if old else ""
            lines.append(
                f'  - {{name: {api}, schedule: "{schedule}", timeout: {timeout}, suspend: {str(suspend).lower()}, '
                f"request: {{path: /}}{extra}}}"
            )
        texts[name] = "\n".join(lines)
    return declared(**texts)


def applied(plan, known, revision="r2"):
    written = {one.key: one for one in planning.stored_jobs(plan, known, revision=revision, now=LATER)}
    gone = {*plan.removals, *plan.renamed}
    return {key: one for key, one in known.items() if key not in gone} | written


@given(sides, sides)
def test_a_plan_that_is_applied_leaves_exactly_what_is_declared(before, after):
    desired = manifests(after)
    known = stored(manifests(before))
    left = applied(planning.diff(known, desired), known)
    assert {key: one.job for key, one in left.items()} == desired.jobs
    again = planning.diff(left, desired)
    assert (again.changes, again.moved, again.kept) == ((), (), ())


@given(sides, sides)
def test_every_change_says_what_differs(before, after):
    known = stored(manifests(before))
    for change in planning.diff(known, manifests(after)).changes:
        assert change.fields, change


@given(sides, sides)
def test_slots_count_anew_only_where_the_schedule_is_another(before, after):
    known = stored(manifests(before))
    left = applied(planning.diff(known, manifests(after)), known)
    for key, one in left.items():
        old = known.get(key)
        same = old is not None and (old.job.schedule, old.job.suspend) == (one.job.schedule, one.job.suspend)
        assert one.since == (START if same else LATER)


@given(sides, st.sampled_from(["a", "b", "c"]), st.data())
def test_renamed_jobs_keep_the_moment_they_count_from(side, application_name, data):
    known = stored(manifests(side))
    olds = data.draw(st.lists(st.sampled_from(sorted(known)), unique=True)) if known else []
    news = {old: JobKey(application_name, f"new-{old.application}-{old.api}") for old in olds}
    after = {name: {api: job for api, job in jobs.items() if (name, api) not in news} for name, jobs in side.items()}
    for old, new in news.items():
        after.setdefault(new.application, {})[new.api] = side[old.application][old.api]
    desired = manifests(after, {(new.application, new.api): str(old) for old, new in news.items()})
    plan = planning.diff(known, desired)
    assert (dict(plan.renamed), plan.removals) == (news, ())
    assert plan.count(Action.RENAME) == len(news)
    left = applied(plan, known)
    assert {key: one.job for key, one in left.items()} == desired.jobs
    assert {one.since for one in left.values()} <= {START}, "also those whose H is hashed from their name"
    guarded = planning.brake(plan, declares_nothing=False, allow_prune=False, max_prune=0.0)
    assert replace(guarded) == plan
