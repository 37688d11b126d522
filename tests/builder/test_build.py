"""Build real sites: nothing changed, one thing changed, bad input, kills, and two at once."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from building import copy_of, run

from builder import chromium
from builder.commands import build as builds
from builder.commands import check
from builder.project.worlds import Project
from sims.errors import UserError

run = functools.partial(run, train="never")


@pytest.fixture
def project(starter_site: Path, tmp_path: Path) -> Path:
    """A built project to change."""
    return copy_of(starter_site, tmp_path / "project")


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "builder.cli", "-C", str(folder), *arguments]


def site(folder: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads((folder / "site" / "wm" / "site.json").read_text())
    return told


def whole(out: Path) -> str:
    """Check that every file is as site.json says; return the site's version."""
    told = json.loads((out / "wm" / "site.json").read_text())
    for entry in told["files"]:
        data = (out / "wm" / entry["url"]).read_bytes()
        assert len(data) == entry["bytes"], entry["url"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry["url"]
    listed = {os.path.normpath(out / "wm" / entry["url"]) for entry in told["files"]}
    there = {str(p) for p in out.rglob("*") if p.is_file()}
    assert there - listed == {str(out / "wm" / "site.json"), str(out / "sw.js")}
    return str(told["version"])


def times(out: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def test_a_site_is_whole_and_says_what_it_is(starter_site: Path) -> None:
    whole(starter_site / "site")
    told = site(starter_site)
    assert list(told["worlds"]) == ["catcher"]  # type: ignore[call-overload]
    assert set(told["runtime"]) == {"app", "pyodide", "ort", "editor"}  # type: ignore[call-overload]
    world = starter_site / "site" / "wm" / told["worlds"]["catcher"]  # type: ignore[index]
    described = json.loads(world.read_text())
    assert described["spec"]["rate"] == 20
    for source in described["sim"]["sources"]:
        original = world.parent / source["url"]
        assert source["url"] == source["path"]
        assert hashlib.sha256(original.read_bytes()).hexdigest() == source["sha256"]
    assert [s["path"] for s in described["sim"]["sources"] if s["editable"]] == ["sims/catcher.py"]
    assert (world.parent / "poster.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_has_its_world_its_policy_and_nobody_else(starter_site: Path) -> None:
    out = starter_site / "site"
    page = (out / "index.html").read_text()
    element = re.search(r"<wm-world [^>]*>", page)
    assert element and 'world="catcher" mode="sim" src="./wm/site.json"' in element[0]
    assert re.search(r'class="wm-play"[^>]*>Play Catcher <span class="wm-size">\(\d', page)
    assert "<noscript><p" in page and "sims/catcher.py</a>" in page
    poster = re.search(r'<img class="wm-poster" src="([^"]+)"', page)
    assert poster and (out / poster[1]).is_file()
    # Every inline script that runs is named by its hash, the sandbox's too; nothing else runs.
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy and page.index(policy[0]) < page.index("<script")
    from builder.site.policy import inline_hashes, sandbox_hash

    named = re.findall(r"'(sha256-[^']+)'", policy[1])
    assert named == [*inline_hashes(page), sandbox_hash()]
    assert "'unsafe-eval'" not in policy[1] and "'wasm-unsafe-eval'" in policy[1]
    # Sheets and the service worker are in one piece, and every module that one names is there.
    for file in [out / "sw.js", *out.glob("wm/app-*/**/*.css"), *out.glob("wm/app-*/**/*.js")]:
        text = file.read_text()
        assert not re.search(r"^(@import|importScripts\()", text, re.MULTILINE), file
        for named in re.findall(r'^import .* from "(.+)";$', text, re.MULTILINE):
            assert (file.parent / named).is_file(), f"{file} imports {named}"
    for file in [*out.rglob("*.html"), *out.glob("assets/javascripts/*.js")]:
        text = file.read_text()
        assert not re.search(r"unpkg\.com|api\.github|fonts\.g|sourceMappingURL", text), file
    assert not list(out.rglob("*.map")) and not (out / "sitemap.xml").exists()


def test_nothing_changed_touches_nothing(project: Path) -> None:
    before = times(project / "site")
    terminal = run(project)
    assert terminal.lines[-1] == "Nothing changed."
    assert times(project / "site") == before


def test_a_site_that_was_tampered_with_is_built_again(project: Path) -> None:
    (project / "site" / "index.html").write_text("tampered")
    (project / "site" / "sw.js").unlink()
    assert "Nothing changed." not in run(project).lines
    whole(project / "site")


def test_the_bytecode_of_a_hook_is_no_page_and_the_site_can_be_built_again(project: Path) -> None:
    hook = project / "docs" / "hooks.py"
    hook.write_text("def on_config(config):\n    return config\n")
    config = project / "mkdocs.yml"
    config.write_text(config.read_text() + "\nhooks: [docs/hooks.py]\nexclude_docs: hooks.py\n")
    # As Python leaves it where it imports the hook.
    (hook.parent / "__pycache__").mkdir()
    (hook.parent / "__pycache__" / "hooks.cpython-311.pyc").write_bytes(b"0")
    for _ in range(2):
        run(project)
        assert not list((project / "site").rglob("__pycache__"))
    assert "Nothing changed." in run(project).lines


def test_a_page_that_changed_is_all_that_changes(project: Path) -> None:
    before = {e["url"]: e["sha256"] for e in site(project)["files"]}  # type: ignore[attr-defined]
    page = project / "docs" / "index.md"
    page.write_text(page.read_text().replace("Apples fall", "Pears fall"))
    run(project)
    after = {e["url"]: e["sha256"] for e in site(project)["files"]}  # type: ignore[attr-defined]
    changed = {url for url in before.keys() | after.keys() if before.get(url) != after.get(url)}
    assert changed == {"../index.html", "../search/search_index.json"}


def test_a_sim_that_changed_changes_its_world_alone(project: Path) -> None:
    before = site(project)
    sim = project / "sims" / "catcher.py"
    sim.write_text(sim.read_text().replace("LIVES = 3", "LIVES = 5"))
    run(project)
    after = site(project)
    assert before["runtime"] == after["runtime"]
    assert before["worlds"] != after["worlds"]
    # Prose gives the page new text to show, but is the same sim.
    world = json.loads((project / "site/wm" / after["worlds"]["catcher"]).read_text())  # type: ignore[index]
    sim.write_text(sim.read_text().replace("An apple falls", "A pear falls"))
    run(project)
    again = site(project)["worlds"]["catcher"]  # type: ignore[index]
    prose = json.loads((project / "site/wm" / again).read_text())
    assert prose["sim"]["hash"] == world["sim"]["hash"]
    assert prose["sim"]["sources"] != world["sim"]["sources"]


def test_what_mkdocs_reads_elsewhere_changes_the_site(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = project / "mkdocs.yml"
    config.write_text(f"INHERIT: base.yml\nsite_author: !ENV SOMEBODY\n{config.read_text()}")
    (project / "base.yml").write_text("site_description: One\n")
    monkeypatch.setenv("SOMEBODY", "Ada")
    page = project / "site" / "index.html"
    run(project)
    assert '"One"' in page.read_text() and '"Ada"' in page.read_text()
    (project / "base.yml").write_text("site_description: Two\n")
    monkeypatch.setenv("SOMEBODY", "Bob")
    run(project)
    assert '"Two"' in page.read_text() and '"Bob"' in page.read_text()


def test_base_puts_the_404_page_under_its_path(project: Path) -> None:
    run(project, base="repo/sub")
    page = (project / "site" / "404.html").read_text()
    links = re.findall(r'(?:href|src)="([^"#][^"]*)"', page)
    assert links and all(link.startswith("/repo/sub") for link in links)
    index = (project / "site" / "index.html").read_text()
    assert not re.findall(r'(?:href|src)="/', index)
    assert 'rel="canonical"' not in index


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("repo", "/repo/"),
        ("/", "/"),
        ("/a b/", "/a%20b/"),
        ("/a%20b/", "/a%20b/"),
        ("/50%/", "/50%25/"),
        ("/50%25/", "/50%25/"),
        ("/~me/@x/'&+/", "/~me/@x/'&+/"),
        ("/ü?#/", "/%C3%BC%3F%23/"),
    ],
)
def test_any_path_is_a_base(given: str, base: str) -> None:
    assert builds.base_path(given) == builds.base_path(base) == base


@pytest.mark.parametrize("given", ["https://example.org/repo/", "/a/../b/", "/a%0d%0ab/", "a\\b"])
def test_what_is_no_path_is_no_base(given: str) -> None:
    with pytest.raises(UserError, match=r"^--base .*: it is a path such as /repo/") as failed:
        builds.base_path(given)
    assert failed.value.exit_code == 2


def test_a_site_is_sound_under_a_base_that_is_quoted(project: Path) -> None:
    run(project, base="/a b'&50%/")
    out = project / "site"
    assert check.built_base(out) == "/a%20b'&50%25/"
    check.run(out, boot=False)
    check.run(out, "/a%20b'&50%25/", boot=False)
    with (
        chromium.serve_folder(out, "/a%20b'&50%25/") as address,
        urllib.request.urlopen(address) as answer,
    ):
        assert answer.read() == (out / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("sims/catcher.py", "LIVES = 3", "LIVES = (3", r"sims/catcher\.py:\d+: "),
        ("sims/catcher.py", "out[:] = SKY", "out[:] = SKY / 0", r"sims/catcher\.py:\d+: "),
        ("sims/catcher.py", "out[:] = SKY", "out = out[0]", r"world 'catcher': "),
        ("docs/index.md", "world: catcher", "world: pong", r"index\.md: world 'pong' is not in"),
        ("docs/index.md", "world: catcher", "worl: catcher", r"index\.md: unknown key 'worl'"),
        ("mkdocs.yml", "  - wmsite\n", "", "lacks `wmsite`"),
        ("mkdocs.yml", "site_name:", "site_name: [", r"mkdocs\.yml: "),
        ("mkdocs.yml", "  - search", "  - serach", r"mkdocs\.yml: .*serach"),
        ("recipes/catcher/pixels.toml", "[data]", "[data]\nstepz = 1", r"data\.stepz"),
    ],
)
def test_bad_input_is_one_line_and_loses_nothing(
    project: Path, file: str, old: str, new: str, said: str
) -> None:
    before = times(project / "site")
    path = project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=said) as caught:
        run(project)
    assert "\n" not in str(caught.value)
    assert times(project / "site") == before
    assert not list(project.glob(".site*"))


def test_files_that_no_site_can_hold_are_one_line_and_lose_nothing(project: Path) -> None:
    before = times(project / "site")
    for name, text, said in (
        ("docs/wm.md", "# A page", r"docs: .* 'wm', which is the player's"),
        ("docs/manifest.webmanifest", "{}", r"docs: .* 'manifest\.webmanifest', which is the"),
        ("docs/caf\udce9.txt", "x", r"file 'docs/caf\ufffd\.txt': its name is not UTF-8"),
        ("over/main.html", "{% extends 'base.html' %}\n{% block %}", r"theme: .*main\.html:2: "),
    ):
        file = project / name
        file.parent.mkdir(exist_ok=True)
        config = project / "mkdocs.yml"
        plain = config.read_text()
        if name.startswith("over/"):
            config.write_text(plain.replace("theme:\n", "theme:\n  custom_dir: over\n", 1))
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            run(project)
        config.write_text(plain)
        file.unlink()
        assert times(project / "site") == before


def test_what_an_editor_keeps_beside_a_recipe_is_none(project: Path) -> None:
    (project / "recipes" / "catcher" / ".#pixels.toml").symlink_to("somebody@host.1")
    assert Project.open(project).world("catcher").families == ["pixels"]


def test_strict_counts_warnings(project: Path) -> None:
    before = times(project / "site")
    with pytest.raises(UserError, match="1 warning in strict mode"):
        run(project, strict=True)  # The world's model is left out, which is a warning.
    page = project / "docs" / "index.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md)\n")
    with pytest.raises(UserError, match="2 warnings in strict mode"):
        run(project, strict=True)
    assert times(project / "site") == before


def test_a_second_build_at_once_is_refused_and_may_wait(project: Path) -> None:
    with Project.open(project).lock():
        refused = subprocess.run(
            command(project, "build", "--train", "never"), capture_output=True, text=True
        )
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert f"process {os.getpid()}" in refused.stderr
        waiting = subprocess.Popen(
            command(project, "build", "--train", "never", "--wait"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        time.sleep(0.8)
        assert waiting.poll() is None
    output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and "Nothing changed." in output


def test_a_build_killed_at_any_moment_leaves_a_whole_site(project: Path) -> None:
    page = project / "docs" / "index.md"
    text = page.read_text()
    version = whole(project / "site")
    # How long one takes here, so that kills fall all over it, its very end among them.
    page.write_text(text + "\nEdit.\n")
    began = time.monotonic()
    subprocess.run(command(project, "build", "--train", "never"), check=True, capture_output=True)
    span = time.monotonic() - began
    seen = {version, whole(project / "site")}
    dice = random.Random(5)
    moments = [dice.uniform(0.1, 0.6) for _ in range(3)] + [
        dice.uniform(0.6, 1.1) for _ in range(6)
    ]
    killed = 0
    temporary = project.parent / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    for number, moment in enumerate(moments):
        page.write_text(text + f"\nEdit {number}.\n")
        process = subprocess.Popen(
            command(project, "build", "--train", "never"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        time.sleep(span * moment)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        seen.add(whole(project / "site"))
    assert killed >= 2
    assert run(project).lines
    seen.add(whole(project / "site"))
    assert f"Edit {len(moments) - 1}." in (project / "site" / "index.html").read_text()
    assert not list(project.glob(".site*"))
    subprocess.run(command(project, "info"), check=True, capture_output=True, env=environment)
    assert not list(temporary.iterdir())
    subprocess.run(command(project, "info"), check=True, capture_output=True, env=environment)
    assert not list(temporary.iterdir())


def test_a_full_disk_is_one_line_and_loses_nothing(project: Path) -> None:
    before = times(project / "site")
    page = project / "docs" / "index.md"
    page.write_text(page.read_text() + "\nEdit.\n")
    # No file may grow beyond 2 MB: the system says so in the middle of copying the runtime.
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        "from builder import cli; cli.main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, "-C", str(project), "build", "--train", "never"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1 and errors[0].startswith("error: ")
    assert "what was there before is intact" in errors[0]
    assert times(project / "site") == before
    run(project)
    whole(project / "site")


def test_training_without_torch_is_exit_code_3(project: Path) -> None:
    without = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from builder import cli; cli.main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, "-C", str(project), "build"], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: model catcher/pixels: must be trained")
    assert "pip install" in done.stderr and done.stderr.count("\n") == 1
    whole(project / "site")
