"""What the README and the guides tell a stranger to run is run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(title: str) -> list[list[str]]:
    """Return the commands of each block of one section of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    found = [block.splitlines() for block in BLOCK.findall(section)]
    assert found
    return [[line.partition(" # ")[0].strip() for line in lines] for lines in found]


def test_make_knows_every_target_of_the_readme() -> None:
    for command in blocks("Start")[0]:
        done = subprocess.run(
            [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_make_shell_has_the_command_on_its_path() -> None:
    (line,) = [line for line in blocks("Start")[0] if "shell" in line]
    done = subprocess.run(
        line.split(), cwd=ROOT, input="command -v wmsite && wmsite --version\n",
        capture_output=True, text=True, env=os.environ | {"SHELL": "/bin/sh"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{ROOT}/.venv/bin/wmsite" in done.stdout and "wmsite, version" in done.stdout


def test_the_readmes_commands_work_in_their_order(trained: Path, tmp_path: Path) -> None:
    """In the shell that `make shell` opens, in the clone; what takes minutes is made already."""
    (tmp_path / "wmsite").symlink_to(ROOT)
    project = tmp_path / "my-world"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # What it would install is installed; that pip understands the line is what counts.
        "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
    }  # fmt: skip
    where = tmp_path / "clone"  # a folder beside the project: a link's parent is elsewhere
    where.mkdir()
    for commands in blocks("Make your own"):
        for command in commands:
            if project.is_dir():
                where = project
            if command.startswith("wmsite train"):
                # The starter's own recipe would train for five minutes.
                shutil.rmtree(project / "recipes")
                for part in ("recipes", "weights"):
                    shutil.copytree(trained / part, project / part, dirs_exist_ok=True)
            run(command, where, environment)
            if command.startswith("wmsite new"):
                shutil.copytree(trained / ".wmsite" / "vendor", project / ".wmsite" / "vendor")
    assert 'mode="overlay"' in (project / "site" / "index.html").read_text(encoding="utf-8")


def run(command: str, where: Path, environment: dict[str, str]) -> None:
    """Run one line of a shell; what serves is ended once it tells its address."""
    with subprocess.Popen(
        ["sh", "-ec", f"exec {command}" if "serve" in command else command],
        cwd=where, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if line.startswith("Serving http"):
                process.send_signal(signal.SIGINT)
        code = process.wait(300)
    assert code in ((0, 130) if "serve" in command else (0,)), f"{command}\n{said}"


@pytest.mark.parametrize("name", ["github-pages.yml", "s3.yml"])
def test_a_workflow_is_one(name: str) -> None:
    told = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    assert {"name", True, "jobs", "permissions"} <= set(told)  # YAML 1.1 reads `on` as true
    steps = told["jobs"]["publish"]["steps"]
    for step in steps:
        assert ("uses" in step) != ("run" in step)
        if "run" in step:
            shell(step["run"])


def test_netlifys_file_is_one() -> None:
    told = tomllib.loads((EXAMPLES / "netlify.toml").read_text(encoding="utf-8"))
    assert told["build"]["publish"] == "site"
    shell(told["build"]["command"])


def shell(text: str) -> None:
    """Check a script's syntax, and that our command has the options that it is given."""
    plain = re.sub(r"\$\{\{.*?\}\}", "x", text)
    assert subprocess.run(["bash", "-n", "-c", plain]).returncode == 0
    for verb, options in re.findall(r"wmsite (build|check)([^&\n]*)", plain):
        done = subprocess.run(
            [sys.executable, "-m", "builder.cli", verb, *options.replace('"', "").split(), "--help"]
        )
        assert done.returncode == 0


def test_the_examples_play_a_built_world(trained: Path, tmp_path: Path) -> None:
    (built,) = (trained / "site" / "wm" / "worlds").glob("catcher-*")
    # Python compiles the sim beside its source, in a site that other tests read.
    world = shutil.copytree(built, tmp_path / "world")
    said = r"after 30 steps: reward -?\d+\.\d, over: (?:true|false)\n"
    for command in (
        [sys.executable, str(EXAMPLES / "play_model.py"), str(world)],
        ["node", str(EXAMPLES / "play_model.mjs"), str(world), "start.bin"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert re.fullmatch(said, done.stdout.lower()), done.stderr
    assert (tmp_path / "after-30-steps.png").is_file()


def test_the_lock_pins_what_the_base_needs() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE))
    asked = [*told["project"]["dependencies"], *told["build-system"]["requires"]]
    for name, version in (re.sub(r"\[.*?\]", "", one).split("==") for one in asked):
        assert pinned[name] == version
    hashed = re.findall(r"^[a-z0-9-]+==.* \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(hashed) == len(re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE)) > 40
    assert "://" not in lock


def test_a_lacking_package_is_told_with_the_command_that_adds_it() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'pyarrow' else real(n, *a)\n"
        "from builder.cli import main; main({})"
    )
    helped, failed = (
        subprocess.run([sys.executable, "-c", code.format(args)], capture_output=True, text=True)
        for args in (["data", "record", "--help"], ["data", "list"])
    )
    assert helped.returncode == 0 and "Usage: wmsite data record" in helped.stdout
    assert failed.returncode == 3 and failed.stderr.count("\n") == 1
    command = f"{sys.executable} -m pip install --editable '{ROOT}[train]'"
    assert command in failed.stderr
