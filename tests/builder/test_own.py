"""No command destroys what it did not write: which folders are replaced, and which are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from building import Lines

from builder.commands import build, clean, data, data_card, data_rates, new, serve
from builder.commands.data import MINE
from builder.project import built, own, weights
from builder.project.worlds import PACKAGES, Project
from builder.site import recording_sections
from sims.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The least that is a project: a build that gets to work would fail otherwise than asked."""
    root = tmp_path / "project"
    for folder in ("docs", "sims", "recipes", "weights", "data-cards", "pages"):
        (root / folder).mkdir(parents=True)
        (root / folder / "mine").write_text("mine")
    (root / "mkdocs.yml").write_text("site_name: x\ndocs_dir: pages\n")
    return root


def tree(folder: Path) -> dict[str, str]:
    """All that is there: links by where they lead, files by what they hold."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink()
        else path.read_text() if path.is_file() else "/"
        for path in sorted(folder.rglob("*"))
        if ".wmsite" not in path.parts
    }  # fmt: skip


def a_site(out: Path) -> None:
    (out / "wm").mkdir(parents=True)
    files = [{"url": "../index.html"}, {"url": "app-1/player.js"}]
    (out / "wm" / "site.json").write_text(json.dumps({"files": files}))
    (out / "wm" / "app-1").mkdir()
    for name in ("index.html", "sw.js", "wm/app-1/player.js"):
        (out / name).write_text(name)


def thesis(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("three years")


def repository(out: Path) -> None:
    (out / ".git" / "objects").mkdir(parents=True)
    (out / ".git" / "objects" / "pack").write_text("history")


def published(out: Path) -> None:
    """A checkout of the branch that a host shows: a site of ours, and its history."""
    a_site(out)
    repository(out)


def cname(out: Path) -> None:
    a_site(out)
    (out / "CNAME").write_text("example.org")


def beside_a_page(out: Path) -> None:
    a_site(out)
    (out / "wm" / "app-1" / "notes.txt").write_text("mine")


def a_link(out: Path) -> None:
    a_site(out)
    (out / "photos").symlink_to("/")


def damaged(out: Path) -> None:
    a_site(out)
    (out / "wm" / "site.json").write_text("{")


OTHERS: list[tuple[Callable[[Path], object], str]] = [
    (thesis, "it holds thesis.tex, which wmsite did not write"),
    (repository, "it holds .git/, which"),
    (published, "it holds .git/, which"),
    (cname, "it holds CNAME, which"),
    (beside_a_page, "it holds wm/app-1/notes.txt, which"),
    (a_link, "it holds photos, which"),
    (damaged, "it holds index.html, sw.js, wm/, which"),
    (lambda out: out.write_text("a file"), "is a file"),
    (lambda out: out.symlink_to(out.name), "loop"),
    (lambda out: (out.with_name("b").symlink_to(out), out.symlink_to("b")), "loop"),
]


@pytest.mark.parametrize(("make", "said"), OTHERS)
@pytest.mark.parametrize("verb", ["build", "serve", "clean"])
def test_only_a_site_of_ours_is_replaced(
    root: Path, tmp_path: Path, make: Callable[[Path], object], said: str, verb: str
) -> None:
    out = tmp_path / "out"
    make(out)
    before = tree(tmp_path)
    options = build.Options(root=root, site_dir=out, train="never")
    verbs: dict[str, Callable[[], object]] = {
        "build": lambda: build.run(options, Lines()),
        "serve": lambda: serve.run(options, Lines()),
        "clean": lambda: clean.run(root, out, True, Lines()),
    }
    if verb == "clean" and not (out / "wm" / "site.json").is_file() and "loop" not in said:
        verbs[verb]()  # What is no site is no business of it.
    else:
        with pytest.raises(UserError, match=said) as failed:
            verbs[verb]()
        assert failed.value.exit_code == 2 and "\n" not in str(failed.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "place", [".", "..", "pages/x", "pages", "sims/x", "recipes", "weights/x", "data-cards",
              "data-cards/x", ".wmsite", ".wmsite/x", "mkdocs.yml", "/", "/proc"],
)  # fmt: skip
def test_no_site_goes_where_sources_are(root: Path, tmp_path: Path, place: str) -> None:
    before = tree(tmp_path)
    with pytest.raises(UserError) as failed:
        build.run(build.Options(root=root, site_dir=root / place, train="never"), Lines())
    assert failed.value.exit_code == 2 and "\n" not in str(failed.value)
    assert tree(tmp_path) == before


def test_what_may_be_replaced(root: Path, tmp_path: Path) -> None:
    project = Project(root)
    empty, ours = tmp_path / "empty", tmp_path / "ours"
    (empty / "empty").mkdir(parents=True)
    (empty / ".DS_Store").write_text("of the Finder")
    a_site(ours)
    for out in (tmp_path / "absent", tmp_path / "a" / "b", empty, ours, root / "site"):
        build.refuse(out, project)
    # What the build itself remembers is ours too, though the manifest is damaged.
    damaged(tmp_path / "damaged")
    names = ["index.html", "sw.js", "wm/app-1/player.js", "wm/site.json"]
    stamp = built.stamp(project, tmp_path / "damaged")
    stamp.parent.mkdir(parents=True)
    told = {"key": "", "weights": "", "train": "", "complete": True, "files": {}, "warnings": []}
    stamp.write_text(json.dumps(told | {"sha256": dict.fromkeys(names, "")}))
    build.refuse(tmp_path / "damaged", project)
    # Somebody has imported a published sim; what else they put there is theirs.
    compiled = ours / "wm" / "app-1" / "__pycache__"
    compiled.mkdir()
    (compiled / "sim.cpython-311.pyc").write_bytes(b"")
    build.refuse(ours, project)
    (compiled / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="__pycache__/, which wmsite did not write"):
        build.refuse(ours, project)
    (compiled / "thesis.txt").unlink()
    clean.run(root, ours, False, Lines())
    assert not ours.exists()


def test_mount_points_are_told_from_folders(tmp_path: Path) -> None:
    for place in ("/proc", "/dev/shm"):
        if os.path.ismount(place):
            with pytest.raises(UserError, match=r"is a mount point, .* Run: give a folder within"):
                own.refuse(Path(place), "x", (), "")
    with pytest.raises(UserError, match="is a mount point"):
        own.refuse(Path("/"), "x", (), "")
    assert own.mounted(tmp_path) is None
    # One file system mounted twice has the same device: only the system's list tells.
    inside = tmp_path / "with space" / "m"
    inside.mkdir(parents=True)
    script = (
        "import sys; from pathlib import Path; from builder.project import own\n"
        "print(own.mounted(Path(sys.argv[1])))"
    )
    mount = f"mount --bind '{tmp_path}' '{inside}' && exec '{sys.executable}' -c '{script}' \"$0\""
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, str(tmp_path / "with space")],
        capture_output=True, text=True,
    )  # fmt: skip
    if "permitted" in told.stderr or "denied" in told.stderr:
        pytest.skip("this system lets nobody mount")
    assert told.stdout.strip() == str(inside), told.stderr


def test_a_folder_below_a_file_or_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file is a file\. Run"):
        own.refuse(tmp_path / "file" / "a" / "b", "x", (), "")


def test_new_takes_nothing_that_is_there(tmp_path: Path) -> None:
    thesis(tmp_path / "out")
    (tmp_path / "loop").symlink_to("loop")
    before = tree(tmp_path)
    for name in ("out", "loop", "out/thesis.tex", "."):
        with pytest.raises(UserError):
            new.run(tmp_path / name, Lines())
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    new.run(tmp_path / "empty", Lines())
    assert (tmp_path / "empty" / "mkdocs.yml").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "loop", "out"]


def test_a_card_is_written_into_a_folder_of_its_own(
    root: Path, tmp_path: Path, tiny_drives: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "sample-thesis.json").write_text("three years")
    (out / "poster-1.webp").write_text("not ours to tell")
    before = tree(out)
    with pytest.raises(UserError, match=r"it holds sample-thesis\.json, which"):
        data_card.run(PACKAGES, tiny_drives, Lines(), out, False)
    with pytest.raises(UserError, match=r"it holds sample-thesis\.json, which"):
        data_rates.run(PACKAGES, "driving", Lines(), None, 1, out)
    assert tree(out) == before
    # One that was damaged is made anew, and what lies beside a card stays.
    (out / "sample-thesis.json").unlink()
    (out / "card.json").write_text("{")
    recording_sections.refuse(out)
    (out / "rates.json").write_text(json.dumps({"format": 1}))
    (out / "notes.md").write_text("mine")
    recording_sections.refuse(out)


def test_a_weights_folder_with_notes_is_not_replaced(tmp_path: Path) -> None:
    there = tmp_path / "weights"
    for name in ("provenance.json", "figures/a.png", "graphs/model.json"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text("x")
    weights.refuse(there)
    (there / "NOTES.md").write_text("mine")
    with pytest.raises(UserError, match=r"it holds NOTES\.md, which wmsite did not write"):
        weights.publish(tmp_path / "work", there)
    assert (there / "NOTES.md").is_file()


def test_a_dataset_with_notes_is_not_replaced(tmp_path: Path) -> None:
    for name in ("README.md", "meta/info.json", "data/x", "decoded/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert own.strangers(tmp_path, MINE) == []
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "mine.csv").write_text("mine")
    with pytest.raises(UserError, match="it holds labels/, which"):
        data.refuse(tmp_path)


def test_clean_keeps_what_it_did_not_make(root: Path) -> None:
    cache = root / ".wmsite"
    driven, recorded = cache / "data" / "driven", cache / "data" / "recorded"
    for folder, told in ((driven, {"imported": [{"file": "x"}]}), (recorded, {})):
        (folder / "meta" / "wmsite").mkdir(parents=True)
        (folder / "meta" / "wmsite" / "recording.json").write_text(json.dumps(told))
    (cache / "thesis.tex").write_text("three years")
    (cache / "sizes.json").write_text("{}")
    terminal = Lines()
    clean.run(root, None, True, terminal)
    assert sorted(p.name for p in cache.iterdir()) == ["data", "lock", "thesis.tex"]
    assert driven.is_dir() and not recorded.exists()
    assert any(str(driven) in line for line in terminal.lines)
