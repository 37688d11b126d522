"""Damage in a cache never goes on into a site, and what the dead leave behind is cleared away."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from building import copy_of, edit, run

from builder.commands import check
from builder.project import aside, cache, kept
from builder.project.worlds import Project
from sims.errors import UserError

run = functools.partial(run, train="never")


def flip(file: Path) -> None:
    """Turn one bit, and have size and times as they were; what is linked to it stays."""
    stat = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def cut(file: Path) -> None:
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[: len(data) // 2])


def linked(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "page.js is not as it was made": flip,
    "page.js is not as": cut,
    "page.js is absent": Path.unlink,
    "it holds what is no plain file": linked,
    "more.js was added": lambda file: file.with_name("more.js").write_text("alert(1)"),
    "nothing tells what": lambda file: file.parents[1].joinpath("part.json").unlink(),
    "below/x was added": lambda file: file.parents[1].joinpath("part.json").write_text("{}"),
}


@pytest.mark.parametrize("said", DAMAGE)
def test_what_is_damaged_is_made_again_and_said(
    tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(1)
        (folder / "page.js").write_text("good")
        (folder / "below").mkdir()
        (folder / "below" / "x").write_text("x")

    folder = kept.kept(tmp_path / "part", make)
    assert kept.kept(folder, make) == folder and len(made) == 1
    assert capsys.readouterr().err == ""
    DAMAGE[said](folder / "page.js")
    assert kept.kept(folder, make) == folder and len(made) == 2
    told = capsys.readouterr().err
    assert said in told and "it is made again" in told and told.count("\n") == 1
    assert (folder / "page.js").read_text() == "good"
    assert kept.fault(folder) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part", "part.json"]


@pytest.fixture
def project(starter_site: Path, tmp_path: Path) -> Path:
    return copy_of(starter_site, tmp_path / "project")


def version(out: Path) -> str:
    return str(json.loads((out / "wm" / "site.json").read_text())["version"])


def test_no_damaged_cache_is_shipped(
    project: Path, starter_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = version(project / "site")
    vendor = project / ".wmsite" / "vendor"
    vendor.unlink()
    shutil.copytree(starter_site / ".wmsite" / "vendor", vendor, copy_function=os.link)
    (facts,) = (path for path in (project / ".wmsite" / "facts").iterdir() if path.is_dir())
    spec = facts / "spec.json"
    spec.write_text(spec.read_text().replace('"title": "Catcher"', '"title": "Catched"'))
    cut(facts / "poster.png")
    # Some may be left from before an edit of what makes them: all are damaged.
    for runtime in vendor.glob("ort-*/ort-wasm-simd-threaded.wasm"):
        flip(runtime)
    for boot in vendor.glob("pyodide-*/python.js"):
        text = boot.read_text()
        boot.unlink()
        boot.write_text(text + "\nfetch('/elsewhere');\n")
    for editor in vendor.glob("editor-*/editor.js"):
        editor.unlink()
    shutil.rmtree(project / "site")
    run(project)
    told = capsys.readouterr().err.splitlines()
    assert sum("it is made again" in line for line in told) == 4
    assert version(project / "site") == good


def test_check_compares_every_byte_and_has_a_damaged_site_built_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = project / "site"
    good = version(site)

    def checked() -> list[str]:
        with pytest.raises(UserError, match="problem"):
            check.run(site, boot=False, project=Project(project))
        return capsys.readouterr().err.splitlines()

    check.run(site, boot=False, project=Project(project))
    flip(site / "sw.js")  # Neither size nor times tell of it.
    assert run(project).lines[-1] == "Nothing changed."
    assert checked()[-1] == "hashes: sw.js: is not what the build wrote"
    lines = run(project).lines
    assert "site: sw.js not as built; it is built again." in lines
    check.run(site, boot=False, project=Project(project))
    flip(site / "index.html")
    flip(next(site.glob("wm/pyodide-*/python.js")))
    next(site.glob("wm/worlds/*/poster.png")).unlink()
    linked(site / "search" / "search_index.json")
    # Altered, and its manifest with it: each fits the other, and neither what was built.
    was = cache.sha256_file(site / "404.html")
    flip(site / "404.html")
    edit(site / "wm" / "site.json", was, cache.sha256_file(site / "404.html"))
    told = "\n".join(checked())
    for said in (
        "index.html: its sha256 is not the manifest's", "python.js: its sha256 is not",
        "poster.png: is missing", "search/search_index.json: is a link",
        "hashes: 404.html: is not what the build wrote",
        "hashes: wm/site.json: is not what the build wrote",
    ):  # fmt: skip
        assert said in told
    (site / "search" / "moved").unlink()
    assert run(project).lines[-1].startswith("Built in")
    check.run(site, boot=False, project=Project(project))
    assert version(site) == good


def test_an_old_site_that_cannot_be_deleted_comes_back_never(project: Path) -> None:
    """What is left of it is said, is in nobody's way, and is cleared when it can be."""
    (project / "docs" / "gone.md").write_text("# Gone\n")
    run(project)
    stuck = project / "site" / "gone"
    stuck.chmod(0o555)
    (project / "docs" / "gone.md").unlink()
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build", "--train=never"]
    if os.geteuid() == 0:  # Whom no permission stops, unless it is given up.
        caps = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", *command]
    for number in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "left over, and can't be deleted" in done.stderr
        assert not (project / "site" / "gone").exists()
        assert len(list(project.glob(".site.wmsite-new*"))) == 1
        edit(project / "docs" / "index.md", "Apples fall", f"Apples {number} fall")
        edit(project / "docs" / "index.md", f"Apples {number} fall", "Apples fall")
    for folder in project.glob(".site.wmsite-new*/gone"):
        folder.chmod(0o755)
    assert run(project).lines[-1] == "Nothing changed."
    assert not list(project.glob(".site*"))


@pytest.mark.slow
def test_what_the_dead_left_is_cleared_and_the_living_keep_theirs(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, tempfile, time; from pathlib import Path\n"
        "from builder import lifetime\nfrom builder.project import aside\n"
        "lifetime.begin()\n"
        "tempfile.mkdtemp()\n"
        "subprocess.run(['node', '-e', 'fs.mkdtempSync(os.tmpdir() + `/node`)'], check=True)\n"
        "with aside.beside(Path(sys.argv[1])) as made:\n"
        "    print(made, flush=True); time.sleep(60)\n"
    )
    temporary, site = tmp_path / "temporary", tmp_path / "home" / "site"
    temporary.mkdir()

    def start() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(site)], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TMPDIR": str(temporary)},
        )  # fmt: skip
        assert process.stdout
        return process, Path(process.stdout.readline().strip())

    (first, left), (second, used) = start(), start()
    (site.parent / ".site.wmsite-new").mkdir()  # as versions before this one left it
    (site.parent / ".site.wmsite-new-notes").write_text("no folder")
    assert left.is_dir() and used.is_dir() and len(list(temporary.iterdir())) == 2
    first.kill()
    first.wait()
    aside.sweep(site)
    assert not left.exists() and used.is_dir()
    names = {path.name for path in site.parent.iterdir()}
    assert names == {".site.wmsite-new-notes", used.name}
    third, _ = start()
    assert len(list(temporary.iterdir())) == 2
    for process, number in ((second, signal.SIGTERM), (third, signal.SIGHUP)):
        process.send_signal(number)
        process.wait(timeout=20)
    assert list(temporary.iterdir()) == []
    assert [p.name for p in site.parent.iterdir()] == [".site.wmsite-new-notes"]


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_what_is_attached_ends_with_its_parent_however_that_ends(deaf: bool) -> None:
    child = (
        "import signal, time; from builder import lifetime\n"
        "lifetime.PATIENCE = 1.0\n"
        "lifetime.begin()\n"
        f"{'signal.signal(signal.SIGINT, signal.SIG_IGN)' if deaf else ''}\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    parent = (
        "import os, subprocess, sys, time; from builder import lifetime\n"
        "p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE,\n"
        "    text=True, **lifetime.attached(dict(os.environ)))\n"
        "print(p.stdout.readline().strip(), p.pid, flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    ready, pid = process.stdout.readline().split()
    assert ready == "ready"
    process.kill()
    process.wait()
    began = time.monotonic()
    while alive(int(pid)) and time.monotonic() - began < 15:
        time.sleep(0.05)
    assert not alive(int(pid))


def alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
