"""Every command of the README does what it says, in a copy of the examples beside a running reconciler."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.command import Reconciler, environment
from tests.acceptance.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TOKEN = "made-up-token-of-a-test"
EXAMPLES_OWN = "127.0.0.1:8080"

# What a test cannot run, and why.
NOT_RUN = {
    "make run": "makes a virtual environment and serves until it is stopped; its command is run here all the time",
    "make test": "would run this test within itself",
    "make check": "as make test",
    "make bench": "takes minutes, and measures",
    "make commits": "takes minutes; a short form of it is tests/integration/test_git_commits.py",
    "reconciler run 'git+https://git.example.com/team/jobs.git?ref=main&path=manifests'": (
        "nobody answers at this host; a source like it is followed in test_gitops_page.py and test_git_http.py"
    ),
    "reconciler run [SOURCE] [--store URL] [--listen HOST:PORT]": "says how it is written",
}


def lines_of(readme: str) -> list[str]:
    """Each command line of each ``sh`` block, without its comment, continued lines joined."""
    lines = []
    for block in re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        joined = re.sub(r"\\\n\s*", "", block)
        lines += [re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines() if line.strip()]
    return lines


RUN = [line for line in lines_of(README) if line not in NOT_RUN]


def commit(folder: Path) -> None:
    """Make a repository of a folder: its manifests, as they are now, are what stands on main."""
    who = ("-c", "user.name=A team", "-c", "user.email=team@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q", "-b", "main"), ("add", "manifests"), (*who, "commit", "-q", "-m", "Declare")):
        subprocess.run(["git", *arguments], cwd=folder, env=environment({}), check=True, timeout=30)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory):
    """A copy of what the README talks about, and a reconciler that runs in it, on an address of its own."""
    folder: Path = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for path in (folder / "manifests").glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace(EXAMPLES_OWN, address)
        path.write_text(text.replace("https://billing.example.com", f"http://{address}"), encoding="utf-8")
    commit(folder)
    reconciler = Reconciler(
        "manifests/", cwd=folder, env={"RECONCILER_LISTEN": address, "RECONCILER_TRIGGER_TOKEN": TOKEN}
    )
    try:
        reconciler.ready().wait_for("run", outcome="succeeded")
        yield folder, address
        assert reconciler.end() == 0
    finally:
        reconciler.put_away()


def test_the_readme_shows_commands_and_lists_no_line_that_is_gone():
    assert len(RUN) >= 10
    assert set(NOT_RUN) <= set(lines_of(README))
    assert {line.split()[0].rpartition("/")[2] for line in RUN} == {"reconciler", "curl"}


@pytest.mark.parametrize("line", RUN)
def test_a_command_of_the_readme_works(copy, line):
    folder, address = copy
    if line.startswith("curl") and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    env = environment({"RECONCILER_TRIGGER_TOKEN": TOKEN})
    env["PATH"] = f"{folder}/.venv/bin:{env['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line.replace(EXAMPLES_OWN, address)],
        cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout or ">" in line
    if line.startswith("curl"):
        assert '"runId"' in done.stdout
    if ">" in line:
        assert (folder / line.rpartition(">")[2].strip()).stat().st_size > 1000
