"""A site names whose work it ships, with the licence texts, and so does the repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from builder.commands import check
from builder.project import cache
from builder.site import download, manifest, notices, notices_page, site_files, vendor
from sims.errors import UserError

ROOT = vendor.ROOT
STORE = ROOT / ".wmsite" / "vendor"
# What of Pyodide's built-in modules is more than CPython: the works that they are linked with.
LINKED = {
    "_bz2": "bzip2", "_lzma": "xz", "_zstd": "zstd", "_sqlite3": "SQLite", "_sha2": "HACL*",
    "zlib": "zlib", "pyexpat": "Expat", "_ctypes": "libffi", "_decimal": "libmpdec",
}  # fmt: skip
ELSEWHERE = {"_ssl", "_hashlib", "_curses", "readline", "_dbm", "_gdbm", "_tkinter", "_uuid"}


@pytest.fixture(scope="module")
def listed() -> dict[str, notices.Notice]:
    return {notice.name: notice for notice in notices.collect(STORE)}


def test_each_page_of_a_site_leads_to_the_licences_of_all_that_it_ships(
    starter_site: Path, listed: dict[str, notices.Notice]
) -> None:
    site = starter_site / "site"
    page = (site / notices.PAGE / "index.html").read_text()
    for name, notice in listed.items():
        assert (f'data-name="{name}"' in page) == (name != notices.LANGUAGES), name
        assert all(len(text) > 100 for text in notice.texts)
    assert "Mozilla Public License Version 2.0" in page
    assert f"https://github.com/pyodide/pyodide/tree/{listed['Pyodide'].version}" in page
    for file in site.rglob("*.html"):
        assert notices.PAGE in file.read_text(), file
    search = json.loads((site / "search" / "search_index.json").read_text())
    assert "Mozilla" not in str(search)  # The texts are no prose of the site's own.


def test_the_licences_are_no_part_of_what_play_loads(starter_site: Path) -> None:
    home = starter_site / "site" / "wm"
    told = site_files.read(home / "site.json", manifest.Site)
    assert isinstance(told, manifest.Site)
    place = home / told.worlds["catcher"]
    world = site_files.read(place, manifest.World)
    assert isinstance(world, manifest.World)
    files = download.first_load(home, told.runtime, world, place.parent)
    assert not [file for file in files if "notice" in file.name or "license" in file.name.lower()]


@pytest.mark.parametrize(
    ("break_", "said"),
    [
        (lambda page: shutil.rmtree(page.parent), "third-party-notices/: is missing"),
        (
            lambda page: page.write_text(page.read_text().replace('-name="NumPy"', '-name="None"')),
            "does not name NumPy, which the site ships",
        ),
        (
            lambda page: page.write_text(re.sub(r"(<pre[^>]*>)[^<]*", r"\1 ", page.read_text())),
            "Pyodide: the text of its licence is missing",
        ),
        (
            lambda page: (page.parents[1] / "index.html").write_text(
                re.sub(f'<a href="[^"]*{notices.PAGE}.*?</a>', "",
                       (page.parents[1] / "index.html").read_text())
            ),
            "index.html: its footer does not link to third-party-notices/",
        ),
    ],
)  # fmt: skip
def test_check_finds_a_site_that_lacks_them(
    starter_site: Path, tmp_path: Path, break_: Callable[[Path], None], said: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(starter_site / "site", site, ignore=shutil.ignore_patterns("*-*[0-9a-f]"))
    whole = starter_site / "site"
    assert not list(check.licences(whole, site_files.read_pages(whole)))
    break_(site / notices.PAGE / "index.html")
    told = list(check.licences(site, site_files.read_pages(site)))
    assert any(said in line for line in told), told


def test_a_package_without_a_licence_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "package.json").write_text('{"version": "1.0", "license": "MIT"}')
    with pytest.raises(UserError, match="package bare: it has no licence text"):
        notices._npm("bare", "editor", tmp_path)


def test_a_page_of_that_name_in_docs_is_refused() -> None:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File, Files

    config = MkDocsConfig()
    theirs = File(notices_page.SOURCE, None, "site", True, inclusion=None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the build makes the page of this name itself"):
        notices_page.file(Files([theirs]), config)


@pytest.mark.slow
def test_what_pyodide_is_linked_with_is_named(
    listed: dict[str, notices.Notice], tmp_path: Path
) -> None:
    script = tmp_path / "told.py"
    script.write_text("import json, sys\nprint(json.dumps(sys.builtin_module_names))\n")
    (tmp_path / "empty").mkdir()
    command = vendor.in_pyodide(tmp_path / "empty", script)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    built_in = set(json.loads(done.stdout))
    assert not built_in & ELSEWHERE
    of_cpython = " ".join(listed["CPython"].remarks)
    for module in built_in & set(LINKED):
        assert LINKED[module] in listed or LINKED[module] in of_cpython, module


def test_what_is_committed_is_what_the_packages_say() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    home = Path(onnxruntime.__file__).parent
    told = json.loads((ROOT / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    assert onnxruntime.__version__ == told
    pairs = {"onnxruntime": "LICENSE", "onnxruntime-third-party": "ThirdPartyNotices.txt"}
    for ours, theirs in pairs.items():
        assert notices._committed(ours) == notices._text(home / theirs)


@pytest.mark.slow
def test_the_repository_names_the_same(listed: dict[str, notices.Notice]) -> None:
    found = notices.document(list(listed.values()))
    assert found == (ROOT / "THIRD_PARTY_NOTICES.md").read_text(), "Run: make notices"
    assert str(ROOT) not in found


@pytest.mark.slow
def test_the_wheel_has_types_and_licences(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")  # In requirements.lock.
    built = Path(next(iter(wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))))
    names = set(zipfile.ZipFile(built).namelist())
    assert {"sims/py.typed", "training/py.typed", "builder/py.typed"} <= names
    assert {f"builder/site/licenses/{p.relative_to(notices.TEXTS)}"
            for p in cache.files_of(notices.TEXTS)} <= names  # fmt: skip
    assert "builder/site/licenses/wmsite.txt" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_citation_is_of_this_version() -> None:
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told["version"] == project["version"] and told["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors", "date-released"} <= set(told)
    cited = (ROOT / "docs" / "cite.md").read_text()
    assert f"version = {{{told['version']}}}" in cited and told["title"] in cited
    assert told["date-released"][:4] in cited
    assert "the wmsite authors" in (ROOT / "LICENSE").read_text()
