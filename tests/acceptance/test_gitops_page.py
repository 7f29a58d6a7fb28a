"""The page for new teams can be run from top to bottom, and what it gives them to copy works."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
import yaml

from reconciler.cli import app
from tests.acceptance.command import Ended, environment
from tests.acceptance.conftest import ROOT

PAGE = (ROOT / "docs" / "gitops.md").read_text(encoding="utf-8")
TEMPLATE = ROOT / "templates" / "manifests-repository"
WORKFLOW = TEMPLATE / ".github" / "workflows" / "manifests.yaml"
PIPELINE = TEMPLATE / ".gitlab-ci.yml"
ACTION = ROOT / "action.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"

GOOD = (TEMPLATE / "manifests" / "example.yaml").read_text(encoding="utf-8")
BAD = GOOD.replace("schedule:", "shedule:", 1)
OTHER = GOOD.replace("0 2 * * *", "0 3 * * *")

AUTHOR = "Billing team"
ADDRESS = "billing@example.com"

# What differs from one time to the next, and how it is compared.
VARYING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"\b[0-9a-f]{12}\b", "REVISION"),
    (r"\b\d+(ms|s|m|h|d)( \d+(ms|s|m|h))? ago", "AGO"),
    (r"\bin \d+(ms|s|m|h|d)( \d+(ms|s|m|h))?", "SOON"),
    (r"\s+", " "),
)


def settled(line: str) -> str:
    """A line without what differs each time."""
    for pattern, word in VARYING:
        line = re.sub(pattern, word, line)
    return line.strip()


def shown(expected: str, printed: str) -> bool:
    """Whether this was printed; `…` alone stands for any lines, and at a line's end for its rest."""
    parts = []
    for line in expected.strip().splitlines():
        if line == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            words, rest, _ = settled(line).partition("…")
            parts.append(re.escape(words) + (".*" if rest else "") + r"\n")
    lines = "".join(f"{settled(line)}\n" for line in printed.strip().splitlines())
    return re.fullmatch("".join(parts), lines) is not None


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str]]:
    """Each `sh` block, and the `text` block that follows it, if one does."""
    found = re.findall(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == len(fences("sh"))
    return found


def surroundings(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a newcomer: git knows them, and nothing else is set up."""
    made = {name: value for name, value in environment().items() if not name.startswith("GIT_")}
    names = {f"GIT_{who}_{what}": AUTHOR if what == "NAME" else ADDRESS
             for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{made['PATH']}"
    return made | names | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PATH": path} | dict(more or {})


def shell(script: str, folder: Path, env: Mapping[str, str]) -> Ended:
    """Run a script as CI does: `bash -e` with failing pipes, both streams as one, as a terminal shows them."""
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=dict(env), check=False, text=True, timeout=60,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert "Traceback" not in done.stdout, done.stdout
    return Ended(done.returncode, done.stdout, "")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# The page


def test_the_page_can_be_run_from_top_to_bottom_and_prints_what_it_shows(tmp_path):
    folder, home = tmp_path / "jobs", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for script, expected in steps():
        done = shell(script, folder, surroundings(home))
        assert done.code == 0, f"{script}\n{done.out}"
        assert not expected or shown(expected, done.out), f"{script}\nprinted:\n{done.out}\nthe page shows:\n{expected}"
    left = shell("git status --porcelain", folder, surroundings(home))
    assert left.out == ""


def test_the_page_shows_what_each_step_that_matters_prints():
    printing = [script for script, expected in steps() if expected]
    for command in ("validate", "plan", "sync", "syncs", "show", "jobs", "pause", "resume", "status"):
        assert any(f"reconciler {command} " in f"{script} ".replace("\n", " ") for script in printing), command


def test_shown_takes_another_time_for_the_same_and_another_word_for_another():
    line = "billing/a  next 2026-11-22 02:00:00 WAT (in 10h 24m), at cc99a50ba819\n"
    later = "billing/a next 2027-01-02 02:00:00 WAT (in 3s), at 0123456789ab\n"
    assert shown(line, later)
    assert shown("…\n" + line, "before\n" + later)
    assert shown("billing/a …\n", later)
    assert not shown(line, later.replace("billing", "mail"))
    assert not shown(line, later + "after\n")


def test_every_link_of_the_page_leads_somewhere():
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = link.partition("#")
        target = ROOT / "docs" / file if file else ROOT / "docs" / "gitops.md"
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, link


# What is ours in it: commands that are only shown, and those that CI runs


def commands_in(script: str) -> list[list[str]]:
    """The words of each `reconciler …` of a script, without redirections and what follows the command."""
    found = []
    for line in script.splitlines():
        match = re.match(r"\s*(reconciler .*)", line)
        if match:
            words = shlex.split(match[1], comments=True)
            ends = [index for index, word in enumerate(words) if word in ("||", "|", ">", "&&", ";")]
            found.append(words[1 : min(ends, default=len(words))])
    return found


def understood(words: list[str]) -> None:
    """Let the command line take these words apart, without acting on them; raises where it cannot."""
    group = typer.main.get_group(app)
    name, *arguments = words
    command = group.commands[name]
    with command.make_context(name, arguments):
        pass


def scripts() -> dict[str, str]:
    """All that CI runs, by where it stands."""
    found = {
        f"{ACTION.name}: {step['name']}": step["run"] for step in read_yaml(ACTION)["runs"]["steps"] if "run" in step
    }
    for job in read_yaml(WORKFLOW)["jobs"].values():
        found |= {f"{WORKFLOW.name}: {step['name']}": step["run"] for step in job["steps"] if "run" in step}
    return found | {PIPELINE.name: "\n".join(read_yaml(PIPELINE)["manifests"]["script"])}


def test_commands_that_the_page_only_shows_are_understood():
    found = [words for block in fences("bash") for words in commands_in(block)]
    assert len(found) >= 6
    for words in found:
        understood(words)


def test_commands_that_ci_runs_are_understood():
    found = {where: commands_in(script) for where, script in scripts().items()}
    assert sum(bool(each) for each in found.values()) == 5
    for each in found.values():
        for words in each:
            understood(words)


def test_a_command_that_does_not_exist_is_not_understood():
    with pytest.raises(Exception, match="No such option"):  # click's, which typer has taken in
        understood(["plan", "manifests/", "--form", "main"])


# The files to copy


@pytest.mark.parametrize(
    "path", [ACTION, HOOKS, *sorted(each for each in TEMPLATE.rglob("*") if each.suffix in (".yaml", ".yml"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_every_yaml_file_to_copy_can_be_read(path):
    assert [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def test_every_yaml_block_of_the_page_can_be_read():
    assert all(yaml.safe_load(block) for block in fences("yaml"))
    uses = [step["uses"] for step in yaml.safe_load(fences("yaml")[0])["jobs"]["manifests"]["steps"]]
    assert uses[0] in WORKFLOW.read_text(encoding="utf-8")
    given = yaml.safe_load(fences("yaml")[0])["jobs"]["manifests"]["steps"][1]["with"]
    assert set(given) <= set(read_yaml(ACTION)["inputs"])


def test_the_workflow_may_do_no_more_than_read_the_code_and_comment():
    workflow = read_yaml(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert set(workflow[True]) == {"pull_request"}  # YAML 1.1 takes `on` for true
    assert not any("permissions" in job for job in workflow["jobs"].values())


def test_foreign_actions_are_pinned_by_major_version():
    steps = [*read_yaml(ACTION)["runs"]["steps"], *read_yaml(WORKFLOW)["jobs"]["manifests"]["steps"]]
    uses = [step["uses"] for step in steps if "uses" in step]
    assert len(uses) == 3
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in uses)


def test_no_script_is_put_together_from_what_a_pull_request_says():
    assert not any("${{" in script for script in scripts().values())


def test_the_action_and_the_workflow_to_copy_do_the_same():
    found = scripts()
    for name in ("Install", "Validate", "Plan", "Comment"):
        assert found[f"{ACTION.name}: {name}"] == found[f"{WORKFLOW.name}: {name}"], name


def test_the_pre_commit_config_names_a_hook_that_there_is():
    hooks = {hook["id"] for hook in read_yaml(HOOKS)}
    config = read_yaml(TEMPLATE / ".pre-commit-config.yaml")
    assert {hook["id"] for repo in config["repos"] for hook in repo["hooks"]} <= hooks
    shown_config = next(block for block in fences("yaml") if block.startswith("repos:"))
    assert yaml.safe_load(shown_config) == config


@pytest.mark.parametrize("environment_name", ["", "staging"])
def test_the_manifests_to_begin_from_are_valid(tmp_path, environment_name):
    done = shell(f"reconciler validate {TEMPLATE}/manifests", tmp_path,
                 surroundings(tmp_path, {"RECONCILER_ENVIRONMENT": environment_name}))  # fmt: skip
    assert done.code == 0, done.out
    assert "Valid: 2 jobs" in done.out


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1)], ids=["good", "bad"])
def test_the_pre_commit_hook_takes_good_manifests_and_refuses_bad_ones(tmp_path, text, code):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "example.yaml").write_text(text, encoding="utf-8")
    hook = read_yaml(HOOKS)[0]
    assert re.search(hook["files"], "manifests/billing/example.yml")
    assert not re.search(hook["files"], "README.md")
    assert not hook["pass_filenames"]
    done = shell(shlex.join([*shlex.split(hook["entry"]), *hook["args"]]), tmp_path, surroundings(tmp_path))
    assert done.code == code, done.out
    assert ("did you mean `schedule`?" in done.out) == bool(code)


# What CI does with a pull request


@dataclass
class PullRequest:
    """A repository whose work tree stands at the merge commit of a pull request; its forge's command notes calls.

    Attributes:
        base: what the pull request was opened against; the branch has moved on since.
        head: its last commit.
    """

    folder: Path
    base: str
    head: str

    def env(self, **more: str) -> dict[str, str]:
        env = surroundings(self.folder.parent, {
            "MANIFESTS": "manifests/", "RECONCILER_ENVIRONMENT": "", "NUMBER": "7",
            "BASE": self.base, "HEAD": self.head,
            "RUNNER_TEMP": str(self.folder.parent), "GITHUB_STEP_SUMMARY": str(self.folder.parent / "summary"),
            "GITHUB_OUTPUT": str(self.folder.parent / "output"), "GITHUB_REPOSITORY": "team/jobs",
            "GITHUB_SERVER_URL": "https://github.example.com", "CALLS": str(self.folder.parent / "calls"), **more,
        })  # fmt: skip
        return env | {"PATH": f"{self.folder.parent / 'bin'}{os.pathsep}{env['PATH']}"}

    def step(self, name: str, **more: str) -> Ended:
        """Run one step of the workflow."""
        return shell(scripts()[f"{WORKFLOW.name}: {name}"], self.folder, self.env(**more))

    def text(self, name: str) -> str:
        path = self.folder.parent / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def calls(self) -> list[list[str]]:
        """What the forge's command was asked."""
        return [json.loads(line) for line in self.text("calls").splitlines()]


FORGE = """#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
asked = " ".join(sys.argv[1:])
if "api user" in asked or os.environ.get("REFUSED"):
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
if "--paginate" in asked:
    assert os.environ["MARKER"] == "<!-- reconciler-plan -->", os.environ["MARKER"]
    print(os.environ.get("COMMENTS", ""))
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=surroundings(folder.parent), check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def opened(folder: Path, changed: str) -> PullRequest:
    """A pull request that makes this of the example, while somebody else adds a file to its base."""
    (folder / "manifests").mkdir(parents=True)
    example = folder / "manifests" / "example.yaml"
    git(folder, "init", "-q", "-b", "main")
    example.write_text(GOOD, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Begin")
    base = git(folder, "rev-parse", "HEAD")
    git(folder, "switch", "-q", "-c", "change")
    example.write_text(changed, encoding="utf-8")
    git(folder, "commit", "-q", "-a", "--allow-empty", "-m", "Change")
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "switch", "-q", "main")
    other = OTHER.partition("---")[0].replace("name: example", "name: other")
    (folder / "manifests" / "other.yaml").write_text(other, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Meanwhile")
    git(folder, "merge", "-q", "--no-ff", "--no-edit", "change")
    forge = folder.parent / "bin" / "gh"
    forge.parent.mkdir()
    forge.write_text(FORGE.format(python=sys.executable), encoding="utf-8")
    forge.chmod(0o755)
    return PullRequest(folder, base, head)


@pytest.fixture
def request_of(tmp_path: Path) -> Iterator[Any]:
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    return lambda changed: opened(tmp_path / "jobs", changed)


def test_a_change_passes_and_its_plan_has_what_the_pull_request_changes_alone(request_of):
    one = request_of(OTHER)
    assert one.step("Validate").code == 0
    assert one.step("Plan").code == 0
    assert "Plan: 0 to add, 1 to change, 0 to remove" in one.text("summary")
    assert one.text("output") == "changes=true\n"


def test_where_the_head_is_checked_out_the_plan_begins_where_it_left_the_base(request_of):
    one = request_of(OTHER)
    git(one.folder, "switch", "-q", "change")
    assert one.step("Plan", BASE=git(one.folder, "rev-parse", "main^1")).code == 0
    assert "Plan: 0 to add, 1 to change, 0 to remove" in one.text("summary")


def test_a_pull_request_without_changes_passes_and_says_so(request_of):
    one = request_of(GOOD)
    assert one.step("Plan").code == 0
    assert "Plan: 0 to add, 0 to change, 0 to remove" in one.text("plan.md")
    assert one.text("output") == "changes=false\n"


def test_a_problem_fails_and_is_posted_all_the_same(request_of):
    one = request_of(BAD)
    assert one.step("Validate").code == 1
    assert one.step("Plan").code == 1
    assert one.step("Comment").code == 0
    assert "**Problem**" in one.text("plan.md")
    assert "POST" in one.calls()[-1]


def test_a_command_that_is_not_understood_fails(request_of):
    one = request_of(OTHER)
    script = scripts()[f"{WORKFLOW.name}: Plan"].replace("--output markdown", "--output markdwon")
    assert shell(script, one.folder, one.env()).code == 1
    assert one.step("Comment").code == 0
    assert not one.calls()


def test_the_first_plan_is_posted_and_later_ones_take_its_place(request_of):
    one = request_of(OTHER)
    one.step("Plan")
    assert one.step("Comment").code == 0
    assert one.calls()[-1][2:5] == ["--method", "POST", "repos/team/jobs/issues/7/comments"]
    assert one.step("Comment", COMMENTS="41\n42").code == 0
    assert one.calls()[-1][2:5] == ["--method", "PATCH", "repos/team/jobs/issues/comments/41"]
    assert one.calls()[-1][-1] == f"body=@{one.folder.parent}/plan.md"


def test_a_token_that_may_not_comment_leaves_a_warning_and_no_failure(request_of):
    one = request_of(OTHER)
    one.step("Plan")
    refused = one.step("Comment", REFUSED="yes")
    assert refused.code == 0
    assert "::warning::" in refused.out


@pytest.mark.parametrize(("changed", "code"), [(OTHER, 0), (GOOD, 0), (BAD, 1)], ids=["changes", "nothing", "problem"])
def test_the_pipeline_of_gitlab_fails_on_problems_alone(request_of, changed, code):
    one = request_of(changed)
    env = one.env(
        CI_MERGE_REQUEST_DIFF_BASE_SHA=one.base,
        CI_MERGE_REQUEST_TARGET_BRANCH_SHA=git(one.folder, "rev-parse", "HEAD^1"),
    )
    done = shell(scripts()[PIPELINE.name], one.folder, env)
    assert done.code == code, done.out
    assert "<!-- reconciler-plan -->" in (one.folder / "plan.md").read_text(encoding="utf-8")
    if changed is OTHER:
        assert "1 to change" in done.out


class GitLab(BaseHTTPRequestHandler):
    """As much of GitLab as the pipeline talks to: who asks, and the notes of one merge request, in pages of one."""

    notes: ClassVar[list[dict[str, Any]]] = []
    tokens: ClassVar[set[str | None]] = set()

    def do_GET(self) -> None:
        page = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
        self.answer({"id": 5} if self.path.endswith("/user") else self.notes[page - 1 : page])

    def do_POST(self) -> None:
        self.notes.append({"id": len(self.notes) + 1, "author": {"id": 5}, "body": self.body()})
        self.answer(self.notes[-1])

    def do_PUT(self) -> None:
        note = self.notes[int(self.path.rpartition("/")[2]) - 1]
        note["body"] = self.body()
        self.answer(note)

    def body(self) -> str:
        return parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["body"][0]

    def answer(self, value: Any) -> None:
        self.tokens.add(self.headers["PRIVATE-TOKEN"])
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_the_pipeline_of_gitlab_keeps_one_note_of_its_own_up_to_date(request_of):
    one = request_of(OTHER)
    GitLab.tokens = set()
    GitLab.notes = [{"id": 1, "author": {"id": 9}, "body": "<!-- reconciler-plan -->\nsomebody else's"}]
    with ThreadingHTTPServer(("127.0.0.1", 0), GitLab) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = one.env(
            CI_API_V4_URL=f"http://127.0.0.1:{server.server_port}/api/v4", CI_PROJECT_ID="3", CI_MERGE_REQUEST_IID="7",
            CI_MERGE_REQUEST_DIFF_BASE_SHA=one.base, PLAN_COMMENT_TOKEN="made-up", no_proxy="127.0.0.1",
        )  # fmt: skip
        first = shell(scripts()[PIPELINE.name], one.folder, env)
        GitLab.notes[-1]["body"] = GitLab.notes[-1]["body"].splitlines()[0] + "\nan old plan"
        again = shell(scripts()[PIPELINE.name], one.folder, env)
        server.shutdown()
    assert (first.code, again.code) == (0, 0), first.out + again.out
    assert [note["author"]["id"] for note in GitLab.notes] == [9, 5]
    assert GitLab.notes[0]["body"].endswith("somebody else's")
    assert "Plan: 2 to add, 1 to change" in GitLab.notes[1]["body"]
    assert GitLab.tokens == {"made-up"}
