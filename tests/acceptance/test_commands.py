"""Every other command, beside a running reconciler and without one."""

import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

from tests.acceptance.command import environment, eventually, run_command
from tests.acceptance.conftest import ROOT, World
from tests.acceptance.target import Answer, Target

NEVER = {"at": "2099-01-01T00:00:00"}


class EditorLoader(yaml.SafeLoader):
    """YAML as editors read it (1.2, core schema): ``on`` is a word, and an instant is text."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("int", "float", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
EditorLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), "tf")

RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def lived(lasting_world):
    """A store in which a reconciler has worked for some seconds; it has ended."""
    lasting_world.declare("shop", {"name": "stock"}, {"name": "bad", "request": {"path": "/bad"}})
    lasting_world.target.say("/bad", Answer(500, b"out of order"))
    reconciler = lasting_world.start()
    eventually(lambda: reconciler.events("run", outcome="failed") and len(reconciler.events("run")) >= 4)
    assert reconciler.end() == 0
    return lasting_world


def test_the_reading_commands_work_without_a_reconciler(lived):
    status = lived.command("status")
    assert status.code == 0
    assert "none is running" in status.out
    assert "2 in 1 Application" in status.out
    jobs = lived.command("jobs")
    assert jobs.out.splitlines()[0].split() == ["JOB", "NEXT", "LAST", "SCHEDULE"]
    assert "every 1s" in jobs.out
    runs = lived.command("runs", "shop/bad", "--status", "failed", "--limit", "1")
    (row,) = runs.out.splitlines()[1:]
    assert "status 500, expected 2xx" in row
    run_id = RUN_ID.search(row)
    assert run_id
    shown = lived.command("show", run_id[0])
    assert "out of order" in shown.out
    assert "shop.yaml:" in shown.out
    assert "shop.yaml:" in lived.command("show", "shop/bad").out


def test_the_reading_commands_work_beside_a_reconciler_and_print_json(lived):
    reconciler = lived.start()
    status = lived.command("status", "--output", "json").json
    assert status["ready"] is True
    assert f"http://{status['processes'][0]['listen']}" == reconciler.address
    jobs = lived.command("jobs", "shop", "-o", "json").json["items"]
    assert {job["key"] for job in jobs} == {"shop/stock", "shop/bad"}
    (run,) = lived.command("runs", "shop/bad", "--status", "failed", "--limit", "1", "-o", "json").json["items"]
    assert lived.command("show", run["id"], "--output", "json").json == run
    assert lived.command("show", "shop/bad", "--output", "json").json["lastRun"]["status"] in ("failed", "running")
    assert lived.command("show", "shop", "--output", "json").json["jobs"] == 2
    assert reconciler.end() == 0


def test_runs_are_filtered_and_paged(lived):
    every = lived.runs()
    assert {run["status"] for run in every} >= {"succeeded", "failed"}  # and skipped, where the machine is slow

    def ask(*args: str) -> list[str]:
        return [run["id"] for run in lived.command("runs", "--limit", "10000", *args, "-o", "json").json["items"]]

    newest_first = [run["id"] for run in every][::-1]
    assert ask("shop") == newest_first
    assert ask("--status", "succeeded") == [run["id"] for run in every[::-1] if run["status"] == "succeeded"]
    assert ask("--cause", "manual") == []
    middle = every[len(every) // 2]["slot"]
    assert ask("--from", middle) == [run["id"] for run in every[::-1] if run["slot"] >= middle]
    assert ask("--to", middle) == [run["id"] for run in every[::-1] if run["slot"] < middle]
    first = lived.command("runs", "--limit", "2", "-o", "json").json
    assert [run["id"] for run in first["items"]] + ask("--cursor", first["next"]) == newest_first


def test_a_reader_that_has_seen_enough_is_no_error(lived):
    env = environment({"RECONCILER_STORE": lived.store})
    line = f"{sys.executable} -m reconciler runs --limit 10000 --output json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=env, cwd=lived.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_plan_says_what_a_sync_would_do_and_sync_does_it(world):
    path = world.declare("shop", {"name": "stock", "schedule": NEVER}, {"name": "old", "schedule": NEVER})
    plan = world.command("plan")
    assert (plan.code, plan.out.splitlines()[-1]) == (2, "Plan: 2 to add, 0 to change, 0 to remove")
    assert world.command("sync").code == 0
    nothing = world.command("plan")
    assert (nothing.code, nothing.out.splitlines()[-1]) == (0, "Plan: 0 to add, 0 to change, 0 to remove")

    world.declare("shop", {"name": "stock", "request": {"path": "/all"}}, {"name": "new", "schedule": NEVER})
    plan = world.command("plan")
    assert (plan.code, plan.out.splitlines()[-1]) == (2, "Plan: 1 to add, 1 to change, 1 to remove")
    assert re.search(r"^\+ shop/new", plan.out, re.MULTILINE)
    assert re.search(r"^~ shop/stock", plan.out, re.MULTILINE)
    assert re.search(r"^- shop/old", plan.out, re.MULTILINE)
    assert f"GET {world.target.url}/ → GET {world.target.url}/all" in plan.out
    assert re.search(r"next .*2099-01-01.* → ", plan.out)
    shaped = world.command("plan", "--output", "json")
    assert (shaped.code, shaped.json["summary"]) == (2, {"add": 1, "change": 1, "remove": 1, "rename": 0})
    synced = world.command("sync", "--output", "json")
    assert (synced.code, synced.json["added"], synced.json["changed"], synced.json["removed"]) == (0, 1, 1, 1)
    again = world.command("sync", "--output", "json")
    assert (again.code, again.json["result"]) == (0, "unchanged")

    path.write_text(path.read_text().replace("schedule:", "when:"), encoding="utf-8")
    held = world.command("plan")
    assert (held.code, held.out.splitlines()[-1]) == (1, "Plan: 0 to add, 0 to change, 0 to remove")
    assert "shop.yaml:" in held.err
    assert world.command("sync").code == 1
    assert len(world.command("jobs", "-o", "json").json["items"]) == 2


def test_validate_tells_every_problem_of_every_file(small_world):
    small_world.declare("shop", {"name": "stock", "schedule": "0 2 * * *"})
    good = small_world.command("validate")
    assert good.code == 0
    assert "02:00" in good.out
    assert re.search(r"in \d+h", good.out)
    small_world.declare("crm", {"name": "one", "schedule": "0 25 * * *"}, {"name": "two", "schedule": "0 0 30 2 *"})
    small_world.declare("hr", {"name": "one", "shedule": "@daily"}, {"name": "two", "retry": {"limit": "many"}})
    small_world.write("broken.yaml", "kind: [\n")
    bad = small_world.command("validate")
    assert bad.code == 1
    places = [line for line in bad.err.splitlines() if re.match(r"\w+\.yaml:\d+:\d+: ", line)]
    assert {line.split(":")[0] for line in places} == {"crm.yaml", "hr.yaml", "broken.yaml"}
    assert len(places) == 5
    shaped = small_world.command("validate", "--output", "json")
    assert (shaped.code, shaped.json["valid"]) == (1, False)
    assert len(shaped.json["problems"]) == len(places)


def test_next_prints_exact_slots(tmp_path):
    berlin = run_command(
        "next", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--from", "2026-03-28", "--count", "3",
        "--output", "json", cwd=tmp_path,
    )  # fmt: skip
    assert berlin.code == 0
    assert berlin.out == '{"slots": ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]}\n'
    job = run_command(
        "next", "billing/fetch-user-data", "--source", str(ROOT / "manifests"), "--from", "2026-03-01T00:00:00Z",
        "--count", "2", "--output", "json", cwd=tmp_path,
    )  # fmt: skip
    assert job.json == {"slots": ["2026-03-01T14:45:00Z", "2026-03-08T13:45:00Z"]}


def test_trigger_makes_one_run_and_tells_how_it_ended(world, target):
    request = {"path": "/send", "method": "POST", "json": {"all": True}}
    world.declare("crm", {"name": "send", "schedule": NEVER, "request": request})
    world.command("sync")
    done = world.command(
        "trigger", "crm/send", "--query", "only=a=b", "--header", "X-Why=test", "--json", '{"all": false}',
        "--output", "json",
    )  # fmt: skip
    assert (done.code, done.json["status"], done.json["cause"]) == (0, "succeeded", "manual")
    (call,) = target.calls
    assert (call.query, call.headers["x-why"], call.body) == ([("only", "a=b")], "test", b'{"all": false}')
    target.say("/send", Answer(500))
    assert world.command("trigger", "crm/send").code == 1
    keyed = [world.command("trigger", "crm/send", "--idempotency-key", "k", "-o", "json").json["id"] for _ in range(2)]
    assert keyed[0] == keyed[1]
    assert len(target.calls) == 3


def test_the_schema_is_valid_and_accepts_every_example(tmp_path):
    schema = run_command("schema", cwd=tmp_path).json
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for path in sorted((ROOT / "manifests").glob("*.yaml")):
        for found in yaml.load_all(path.read_text(encoding="utf-8"), EditorLoader):
            assert not list(check.iter_errors(found)), path
            assert list(check.iter_errors(found | {"spec": found["spec"] | {"oops": 1}})), path


def test_check_looks_at_everything(small_world):
    small_world.declare("shop", {"name": "stock"})
    small_world.env["RECONCILER_LISTEN"] = "127.0.0.1:0"
    good = small_world.command("check", "--output", "json")
    assert good.code == 0
    assert [(one["what"], one["good"]) for one in good.json] == [
        ("settings", True), ("source", True), ("store", True), ("listen", True),
    ]  # fmt: skip
    (small_world.folder / "shop.yaml").write_text("kind: Nothing\n")
    small_world.env["RECONCILER_STOR"] = "x"
    bad = small_world.command("check")
    assert bad.code == 1
    assert "RECONCILER_STOR sets nothing; did you mean RECONCILER_STORE?" in bad.out


def test_check_says_in_the_words_of_run_that_an_address_is_open_to_everybody(small_world):
    small_world.declare("shop", {"name": "stock"})
    small_world.env["RECONCILER_LISTEN"] = "0.0.0.0:0"
    checked = small_world.command("check", "--output", "json")
    (access,) = (one for one in checked.json if one["what"] == "access")
    assert (checked.code, access["good"]) == (1, False)
    refused = small_world.command("run")
    assert access["text"].startswith("--listen 0.0.0.0:0: others than this machine may come there")
    assert access["text"] in refused.err
    assert small_world.command("check", "--open-read").code == 0
    small_world.env["RECONCILER_OIDC_ISSUER"] = "https://login.example.com"
    small_world.env["RECONCILER_OIDC_AUDIENCE"] = "reconciler"
    assert small_world.command("check").code == 0


def test_check_says_that_there_is_no_store_yet_and_makes_none(small_world):
    small_world.declare("shop", {"name": "stock"})
    small_world.env["RECONCILER_LISTEN"] = "127.0.0.1:0"
    for path, ends in (("new/folder/state.db", "the first sync makes it"), ("file/state.db", "name another")):
        (small_world.path / "file").write_text("no folder")
        small_world.store = f"sqlite:///{small_world.path}/{path}"
        checked = small_world.command("check", "--output", "json")
        (store,) = (one for one in checked.json if one["what"] == "store")
        assert "there is none yet" in store["text"]
        assert store["text"].endswith(ends)
        assert (checked.code, store["good"]) == ((0, True) if path.startswith("new") else (1, False))
    assert not (small_world.path / "new").exists()


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    """One job in a SQLite store; nobody writes there."""
    path = tmp_path_factory.mktemp("synced")
    target = Target()
    made = World(path, f"sqlite:///{path}/state.db", target)
    made.declare("shop", {"name": "stock", "schedule": NEVER})
    assert made.command("sync").code == 0
    yield made
    target.close()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["show", "shop/stok"], 1, "did you mean `shop/stock`?"),
        (["show", "shp"], 1, "did you mean `shop`?"),
        (["jobs", "shp"], 1, "did you mean `shop`?"),
        (["show", "01a1faed-c950-8dea-bda6-034ae9c8120c"], 1, "no run"),
        (["trigger", "shop/stok"], 1, "no job shop/stok"),
        (["next", "shop/stok"], 1, "did you mean `shop/stock`?"),
        (["next"], 2, "one of the two"),
        (["next", "--cron", "61 * * * *"], 1, "minute"),
        (["next", "--cron", "@daily", "--time-zone", "Europe/Berln"], 2, "time zone"),
        (["next", "--cron", "@daily", "--from", "yesterday"], 2, "yesterday"),
        (["runs", "--from", "yesterday"], 2, "yesterday"),
        (["runs", "--limit", "0"], 2, "--limit"),
        (["runs", "--status", "sleeping"], 2, "sleeping"),
        (["runs", "--cursor", "x"], 2, "run id"),
        (["trigger", "shop/stock", "--json", "{"], 2, "not JSON"),
        (["trigger", "shop/stock", "--query", "x"], 2, "NAME=VALUE"),
        (["trigger", "shop/stock", "--header", "Host=evil"], 1, "header"),
        (["jobs", "--output", "xml"], 2, "xml"),
        (["jobs", "--store", "redis://localhost"], 2, "redis"),
        (["jobs", "--store", "sqlite://relative"], 2, "sqlite:///"),
        (["runn"], 2, "run"),
        (["run", "--listen", "nowhere"], 2, "nowhere"),
        (["run", "--log-format", "xml"], 2, "log-format"),
        (["jobs", "--nothing"], 2, "--nothing"),
    ],
)
def test_a_wrong_word_is_answered_with_a_clear_line(synced, args, code, said):
    ended = synced.command(*args)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 4
