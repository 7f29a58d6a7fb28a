"""``plan`` from one revision or folder to another: without a store, without secrets, without a network."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import environment, run_command
from tests.acceptance.conftest import ROOT

PAGE = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
NOW = re.compile(r"\d{4}-\d\d-\d\d (?=\d\d:\d\d:\d\d UTC)|\(in [^)]*\)|\((?:[0-9a-f]{12})\)")
# An address that nobody answers at: a plan that asked for it would fail.
NO_STORE = {"RECONCILER_STORE": "mongodb://127.0.0.1:1/none?serverSelectionTimeoutMS=100"}

SHOP = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: shop}}
spec:
  baseUrl: https://shop.example.com
  apis:
    - name: {name}
      schedule: "{schedule}"
      request: {{path: /}}
"""


def plan(*args, cwd, env=None):
    return run_command("plan", *args, cwd=cwd, env=NO_STORE | (env or {}))


def write(folder: Path, name="stock", schedule="0 2 * * *", more="") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop.yaml"
    path.write_text(SHOP.format(name=name, schedule=schedule) + more, encoding="utf-8")
    return path


class Repository:
    """A repository with a work tree, as a developer has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *args: str) -> str:
        env = environment({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"})
        who = ("-c", "user.name=A developer", "-c", "user.email=developer@example.com")
        done = subprocess.run(["git", *who, *args], cwd=self.path, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, subject: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """``empty``: nothing; ``main``: one job at two; ``feature``: it is called at three."""
    made = Repository(tmp_path / "repository")
    made.commit("Begin")
    made.git("tag", "empty")
    write(made.path / "manifests")
    made.commit("Count the stock")
    made.git("switch", "--quiet", "--create", "feature")
    write(made.path / "manifests", schedule="0 3 * * *")
    made.commit("Count the stock later")
    return made


@pytest.mark.parametrize(
    "args",
    [("--form", "main"), ("--from",), ("--output", "yaml"), ("a", "b", "c")],
    ids=["flag", "value", "choice", "arguments"],
)
def test_what_is_mistyped_is_not_taken_for_changes(repository, args):
    ended = plan(*args, cwd=repository.path)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err


def test_two_revisions_are_compared(repository):
    ended = plan("--from", "main", "--to", "feature", "-o", "json", cwd=repository.path)
    assert ended.code == 2, ended.text
    (change,) = ended.json["changes"]
    assert change["fields"] == [{"field": "schedule", "before": "0 2 * * *", "after": "0 3 * * *"}]
    assert ended.json["from"] == {
        "kind": "source",
        "name": "main",
        "revision": repository.git("rev-parse", "main"),
    }
    assert ended.json["to"]["revision"] == repository.git("rev-parse", "feature")
    assert (change["nextBefore"][11:], change["nextAfter"][11:]) == ("02:00:00Z", "03:00:00Z")
    assert [change["runs"][what]["count"] for what in ("appear", "vanish")] == [1, 1]
    assert not (repository.path / ".reconciler").exists(), "a plan leaves nothing behind"


@pytest.mark.parametrize("steps", ["feature~1", "feature^", "HEAD~1", "@~"])
def test_a_revision_may_be_named_by_steps_from_another(repository, steps):
    ended = plan("--from", steps, "--to", "HEAD", "--output", "json", cwd=repository.path)
    assert (ended.code, ended.json["summary"]["change"]) == (2, 1), ended.text
    assert ended.json["from"]["revision"] == repository.git("rev-parse", "main")


def test_more_steps_than_there_are_commits_lead_nowhere(repository):
    ended = plan("--from", "feature~9", cwd=repository.path)
    assert ended.code == 1, ended.text
    assert "there is no branch, tag or commit feature~9" in ended.text
    assert plan("--from", "main", "--to=-x~1", cwd=repository.path).code == 1


def test_without_to_the_plan_leads_to_what_is_here_now(repository):
    write(repository.path / "manifests", name="prices")
    ended = plan("--from", "feature", "--output", "json", "--max-prune", "100%", cwd=repository.path)
    assert (ended.code, ended.json["summary"]) == (2, {"add": 1, "change": 0, "remove": 1, "rename": 0})
    assert plan("--from", "feature", "--to", "feature", cwd=repository.path).code == 0


def test_a_removal_that_the_brake_would_stop_is_said_with_the_revision_that_releases_it(repository):
    write(repository.path / "manifests", name="prices")
    commit = repository.commit("Forget the stock")
    ended = plan("--from", "main", "--to", "feature", cwd=repository.path)
    assert ended.code == 1
    assert (
        f"! shop/stock stays: 1 of 1 jobs would go, more than 50%; reconciler sync SOURCE --allow-prune {commit[:12]}"
        in (ended.out)
    )


def test_a_first_pull_request_begins_from_nothing(repository):
    ended = plan("--from", "empty", "--to", "main", cwd=repository.path)
    assert ended.code == 2, ended.text
    assert ended.out.startswith("From empty (no manifests yet) to main (")
    assert "+ shop/stock  shop.yaml:7" in ended.out
    gone = plan("--from", "main", "--to", "empty", cwd=repository.path)
    assert gone.code == 1
    assert "there is no manifests at empty" in gone.err


def test_a_folder_wins_over_a_branch_of_its_name_and_its_full_name_means_the_branch(repository):
    write(repository.path / "main", schedule="0 4 * * *")
    for named, before in (("main", "0 4 * * *"), ("refs/heads/main", "0 2 * * *")):
        ended = plan("--from", named, "--to", "feature", "-o", "json", cwd=repository.path)
        assert ended.json["changes"][0]["fields"][0]["before"] == before


def test_the_ref_of_a_repository_s_address_gives_way(repository):
    source = f"git+file://{repository.path}?ref=main&path=manifests"
    ended = plan(source, "--from", "empty", "--to", "feature", "-o", "json", cwd=repository.path)
    assert (ended.code, ended.json["summary"]["add"]) == (2, 1), ended.text


def test_problems_that_were_there_before_are_told_apart(repository):
    bad = "    - {name: bad, schedule: '0 99 * * *', request: {path: /}}\n"
    write(repository.path / "manifests", schedule="0 3 * * *", more=bad)
    repository.commit("Break it")
    repository.git("tag", "broken")
    worse = "# one line more\n" + SHOP.format(name="stock", schedule="0 2 * * *") + bad + bad.replace("bad", "worse")
    (repository.path / "manifests" / "shop.yaml").write_text(worse, encoding="utf-8")
    ended = plan("--from", "broken", cwd=repository.path)
    assert ended.code == 1
    lines = [line for line in ended.err.splitlines() if line.startswith("shop.yaml:")]
    assert [line.endswith("(not new)") for line in lines] == [True, False], ended.err
    mended = plan("--from", "broken", "--to", "main", cwd=repository.path)
    assert mended.code == 2
    assert "! shop is held at broken: what runs of it now is older" in mended.out


def test_what_cannot_be_compared_is_said_in_one_line_and_is_no_change(repository):
    for args, said in (
        (("--to", "main"), "--to goes with --from"),
        (("--from", "nowhere"), "--from nowhere: "),
        (("--from", ""), "--from is empty"),
        (("--from", "--upload-pack=x"), "nor is there a folder"),
        (("--from", "x" * 5000), "--from "),
        (("--from", "main", "--store", "sqlite:///x.db"), "looks at no store"),
        (("nowhere", "--from", "main"), "nowhere"),
    ):
        ended = plan(*args, cwd=repository.path)
        assert (ended.code, ended.out) == (1, ""), (args, ended.text)
        assert said in ended.err, (args, ended.err)
        assert len(ended.err.splitlines()) == 1


def test_outside_of_a_repository_there_are_only_folders(tmp_path):
    write(tmp_path / "manifests")
    ended = plan("--from", "main", cwd=tmp_path)
    assert ended.code == 1
    assert "does not stand in a git repository" in ended.err
    assert plan("--from", "manifests", cwd=tmp_path).code == 0


def test_an_environment_is_applied_on_both_sides(tmp_path):
    patched = (
        "---\napiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n  patches:\n"
        "    - {application: shop, spec: {baseUrl: 'https://staging.example.com'}}\n"
    )
    for folder, schedule in (("before", "0 2 * * *"), ("after", "0 3 * * *")):
        write(tmp_path / folder, schedule=schedule, more=patched)
    ended = plan("--from", "before", "--to", "after", "--environment", "staging", "-o", "json", cwd=tmp_path)
    assert (ended.code, ended.json["environment"]) == (2, "staging"), ended.text
    assert [one["field"] for one in ended.json["changes"][0]["fields"]] == ["schedule"]
    unknown = plan("--from", "before", "--to", "after", "--environment", "stagin", cwd=tmp_path)
    assert unknown.code == 1
    assert [line.endswith("(not new)") for line in unknown.err.splitlines()] == [True], unknown.err
    valid = run_command("validate", "after", "--environment", "staging", cwd=tmp_path)
    assert valid.code == 0
    assert ", environment staging" in valid.out
    unknown = run_command("validate", "after", "--environment", "stagin", "-o", "json", cwd=tmp_path)
    assert (unknown.code, unknown.json["environment"]) == (1, "stagin")


def test_a_revision_is_validated_and_asked_for_its_next_runs(repository):
    valid = run_command("validate", "--ref", "main", cwd=repository.path)
    assert valid.code == 0, valid.text
    assert f"revision {repository.git('rev-parse', 'main')[:12]}" in valid.out
    for ref, hour in (("main", "02"), ("feature", "03")):
        ended = run_command("next", "shop/stock", "--ref", ref, "-n", "1", "-o", "json", cwd=repository.path)
        assert ended.json["slots"][0].endswith(f"T{hour}:00:00Z")
    refused = run_command("next", "--cron", "@daily", "--ref", "main", cwd=repository.path)
    assert (refused.code, refused.out) == (2, "")
    assert "--ref" in refused.err


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    """The folders that docs/plan.md shows."""
    folder = tmp_path_factory.mktemp("page")
    shown = re.findall(r"`(\w+/shop\.yaml)`(?:,| says)?.*?```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in shown] == ["before/shop.yaml", "after/shop.yaml", "broken/shop.yaml"]
    for name, text in shown:
        path = folder / name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("to", "code"), [("after", 2), ("broken", 1)])
def test_the_page_shows_what_is_printed(documented, to, code):
    ended = plan("--from", "before", "--to", to, cwd=documented)
    (shown,) = re.findall(rf"```text\n(From before \(\w+\) to {to} .*?)```", PAGE, re.DOTALL)
    assert ended.code == code
    assert NOW.sub("…", ended.out) == NOW.sub("…", shown)


def test_the_comment_is_ready_to_post(documented):
    ended = plan("--from", "before", "--to", "after", "--output", "markdown", cwd=documented)
    assert ended.code == 2
    assert ended.out.splitlines()[:2] == [
        "<!-- reconciler-plan -->",
        "### Plan: 1 to add, 1 to change, 1 to rename, 1 to remove",
    ]
    assert ended.out.count("<details>") == ended.out.count("</details>") == 3
