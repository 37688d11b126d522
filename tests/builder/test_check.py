"""`wmsite check` on a real built site, whole and with one thing broken at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.commands import check
from builder.project import cache
from builder.site import plugin, site_files
from sims.errors import UserError


def relist(site: Path) -> None:
    """Write the manifest's hashes anew, so that an edit is not also a wrong hash."""
    listed = json.loads((site / "wm" / "site.json").read_text())
    known = {entry["url"]: entry for entry in listed["files"]}
    for file in cache.files_of(site):
        url = file.relative_to(site).as_posix()
        url = url.removeprefix("wm/") if url.startswith("wm/") else f"../{url}"
        if url in ("../sw.js", "site.json"):
            continue
        entry = known.setdefault(url, {"url": url, "group": "page"})
        entry |= {"sha256": cache.sha256_file(file), "bytes": file.stat().st_size}
    listed["files"] = list(known.values())
    (site / "wm" / "site.json").write_text(json.dumps(listed))


@pytest.fixture
def site(starter_site: Path, tmp_path: Path) -> Path:
    """A copy of a built site, to break. Big files are links: put others in their place."""
    return Path(shutil.copytree(starter_site / "site", tmp_path / "site", copy_function=link))


def link(source: str, target: str) -> None:
    if Path(source).stat().st_size > 1_000_000:
        Path(target).hardlink_to(source)
    else:
        shutil.copyfile(source, target)


def put(site: Path, text: str, path: str = "index.html") -> None:
    """Add text to the end of a page's body, on a line of its own."""
    file = site / path
    file.write_text(file.read_text().replace("</body>", f"\n{text}\n</body>"))
    relist(site)


def problems(
    site: Path, capsys: pytest.CaptureFixture[str], base: str = "/", boot: bool = False
) -> list[str]:
    """Check, and return the lines it says; the error counts them."""
    with pytest.raises(UserError) as failed:
        check.run(site, base, boot)
    lines = capsys.readouterr().err.splitlines()
    assert f"{len(lines)} problem" in str(failed.value)
    assert failed.value.exit_code == 1
    return lines


def test_a_built_site_is_sound(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.run(site, boot=False)
    assert "1 world: no problem found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="nowhere/">x</a>', "links: index.html:{}: nowhere/: there is no such file"),
        ('<img src="no.png">', "links: index.html:{}: no.png: there is no such file"),
        ('<a href="#no">x</a>', "links: index.html:{}: #no: index.html has no anchor #no"),
        ('<a href="../up/">x</a>', "links: index.html:{}: ../up/: leads out of the site (/repo/)"),
        ('<a href="/up/">x</a>', "links: index.html:{}: /up/: leads out of the site (/repo/)"),
        (
            '<script src="https://elsewhere.example/x.js"></script>',
            "third parties: index.html:{}: "
            "<script src=https://elsewhere.example/x.js>: third-party address",
        ),
        (
            '<img srcset="//elsewhere.example/x.png 2x">',
            "third parties: index.html:{}: "
            "<img srcset=//elsewhere.example/x.png>: third-party address",
        ),
        (
            '<p style="background: url(https://elsewhere.example/x.png)">x</p>',
            "third parties: index.html:{}: "
            "https://elsewhere.example/x.png: third-party address in a style",
        ),
        (
            "<script>fetch('https://elsewhere.example/x')</script>",
            "third parties: index.html:{}: "
            "https://elsewhere.example/x: third-party address in a script",
        ),
    ],
)
def test_one_broken_thing_in_a_page_is_one_line_with_its_place(
    site: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    put(site, text)
    (site / "404.html").unlink()  # Its links are of another base than this test's.
    listed = json.loads((site / "wm" / "site.json").read_text())
    listed["files"] = [f for f in listed["files"] if f["url"] != "../404.html"]
    (site / "wm" / "site.json").write_text(json.dumps(listed))
    lines = (site / "index.html").read_text().splitlines()
    line = next(number for number, found in enumerate(lines, 1) if text in found)
    assert problems(site, capsys, base="/repo/") == [said.format(line)]


def test_links_that_only_people_follow_may_lead_anywhere(site: Path) -> None:
    put(
        site,
        '<a href="https://elsewhere.example/">x</a> <a href="#top">up</a> '
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    )
    check.run(site, boot=False)


@pytest.mark.parametrize(
    ("pattern", "break_", "said"),
    [
        (
            "wm/app-*/element/player.js",
            lambda f: f.unlink(),
            "is missing, though a manifest lists it",
        ),
        ("wm/app-*/element/player.css", lambda f: f.write_text("x"), "1 bytes, the manifest says"),
        (
            "wm/worlds/*/sims/catcher.py",
            lambda f: f.write_bytes(f.read_bytes().replace(b"a", b"b")),
            "its sha256 is not the manifest's",
        ),
        ("wm/site.json", lambda f: f.write_text("{"), "Invalid JSON"),
        (
            "wm/worlds/*/world.json",
            lambda f: f.write_text('{"format": 2}'),
            "format: Input should be 1",
        ),
        (
            "index.html",
            lambda f: f.with_name("new.html").write_text("<p>new"),
            "wm/site.json does not list it",
        ),
    ],
)
def test_what_the_manifests_say_is_what_is_there(
    site: Path,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
    break_: Callable[[Path], None],
    said: str,
) -> None:
    (file,) = site.glob(pattern)
    break_(file)
    lines = [line for line in problems(site, capsys) if line.startswith("hashes: ")]
    assert lines
    assert said in " ".join(lines)


def test_files_over_the_budget_are_named(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    (folder,) = site.glob("wm/pyodide-*")
    noise = np.random.default_rng(0).bytes(site_files.MAX_FILE + 1)
    (folder / "numpy.pack").unlink()
    (folder / "numpy.pack").write_bytes(noise)
    relist(site)
    with pytest.raises(UserError, match="1 problem"):
        check.run(site, boot=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"sizes: wm/{folder.name}/numpy.pack: 25.0 MiB, over 25 MiB"
    assert lines[1].startswith("warning: world 'catcher': its first load is ")
    assert " MB compressed, over 12 MB. Make its model smaller" in lines[1]


def test_what_is_seldom_meant_is_a_warning_that_the_owner_can_answer(
    site: Path, tmp_path: Path
) -> None:
    pages = site_files.read_pages(site)
    assert not list(site_files.advice(site, pages, 12, []))
    assert "first load is" in next(site_files.advice(site, pages, 1, []))
    bare = {path: page for path, page in pages.items() if not page.worlds}
    (said,) = site_files.advice(site, bare, 12, [])
    assert said.startswith("world 'catcher': it is on no page") and "unlisted: [catcher]" in said
    assert not list(site_files.advice(site, bare, 12, ["catcher"]))
    told = {"plugins": ["search", {"wmsite": {"first_load": 20, "unlisted": ["catcher"]}}]}
    assert plugin.chosen(told) == (20, ["catcher"]) and plugin.chosen({}) == (12, [])
    with pytest.raises(UserError, match="first_load"):
        plugin.chosen({"plugins": [{"wmsite": {"first_load": "much"}}]})


def test_the_base_is_read_from_the_site_itself(site: Path) -> None:
    page = site / "404.html"
    page.write_text(page.read_text().replace('"/assets/', '"/some/repo/assets/'))
    assert check.built_base(site) == "/some/repo/"


def wmsite_check(site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "builder.cli", "check", "--site-dir", str(site)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_world_boots_in_a_real_browser(site: Path) -> None:
    done = wmsite_check(site)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_world_that_does_not_boot_is_told_with_the_reason(site: Path) -> None:
    (file,) = site.glob("wm/worlds/*/sims/catcher.py")
    file.write_text(file.read_text() + "\nraise RuntimeError('not today')\n")
    (manifest,) = site.glob("wm/worlds/*/world.json")
    world = json.loads(manifest.read_text())
    for source in world["sim"]["sources"]:
        if source["path"].endswith("catcher.py"):
            source |= {"sha256": cache.sha256_file(file), "bytes": file.stat().st_size}
    manifest.write_text(json.dumps(world))
    put(site, '<img src="https://elsewhere.example/x.png">')
    done = wmsite_check(site)
    assert done.returncode == 1
    boots = [line for line in done.stderr.splitlines() if line.startswith("boot: ")]
    assert any("not today" in line for line in boots)
    assert "Traceback" not in done.stderr
