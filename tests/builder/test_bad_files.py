"""Files that hold what nobody expects: one line, with the file, and what to run next."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from builder import cli
from builder.commands import build
from builder.project import built, cache
from builder.project.entries import Entry
from builder.project.worlds import Project
from builder.site import download, plugin, render
from builder.terminal import Terminal
from sims.errors import UserError

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "builder" / "starter"
STRANGE = [
    *("", "null", "7", "[]", "[[]]", '"x"', "{", "NaN", "true", "{}" * 2, "[" * 100_000),
    *('{"files": 7}', '{"key": NaN}', '{"a": "b"}', '{"a": -1}', '{"a": 1e999}', '{"a": true}'),
    *('{"a": NaN}', '{"a": 1.5}', '{"a": null}', '{"a": {"b": []}}', '{"keys": 7, "files": []}'),
    '{"key": "k", "weights": "w", "train": "auto", "complete": 1, "files": {}, "warnings": []}',
    '{"key": "k", "weights": "w", "train": 7, "complete": true, "files": {}, "warnings": []}',
    '{"key": "k", "weights": "w", "train": "a", "complete": true, "files": [], "warnings": []}',
    '{"key": "k", "weights": "w", "train": "a", "complete": true, "files": {}, "warnings": 7}',
    '{"key": "k", "weights": "w", "train": "a", "complete": true, "files": {}}',
    '{"a": ' + "9" * 5000 + "}",
]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's project, its sim checked as the first build does it. To read only."""
    folder = tmp_path_factory.mktemp("checked") / "project"
    shutil.copytree(STARTER, folder)
    config = (folder / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(config.replace("SITE_NAME", "test"), encoding="utf-8")
    project = Project.open(folder)
    project.activate()
    build.check(project.world("catcher"), Terminal(quiet=True))
    return folder


@pytest.fixture
def project(checked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checked, tmp_path / "project"))


def test_strange_caches_tell_nothing(project: Path, tmp_path: Path) -> None:
    """A stamp, the sizes and the like are made again, whatever stands there."""
    out, one = project / "site", tmp_path / "some file"
    one.write_bytes(b"0" * 1000)
    stamp, sizes = built.stamp(Project(project), out), tmp_path / "sizes.json"
    stamp.parent.mkdir(parents=True)
    for text in STRANGE:
        stamp.write_text(text, encoding="utf-8")
        sizes.write_text(text, encoding="utf-8")
        assert built.read(Project(project), out) == {}, text
        assert built.hashes(Project(project), out) == {}, text
        assert 0 < download.compressed([one], known=sizes) < 100, text
    good = {"key": "k", "weights": "w", "train": "auto", "complete": True}
    good |= {"files": {"index.html": [1, 2]}, "warnings": []}
    cache.write_json(stamp, good)
    assert built.read(Project(project), out) == good


def test_damaged_templates_are_compiled_again(tmp_path: Path) -> None:
    source = {"page": "{% for x in names %}<b>{{ x|upper }}</b>{% endfor %}"}

    def shown() -> str:
        made = Environment(loader=DictLoader(source), bytecode_cache=plugin.Compiled(tmp_path))
        return made.get_template("page").render(names=["a", "b"])

    assert shown() == "<b>A</b><b>B</b>"
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        for data in (bytes(damaged), whole[:place]):
            file.write_bytes(data)
            assert shown() == "<b>A</b><b>B</b>"
            assert file.read_bytes() == whole


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, which must fail; return the one line that it says."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    err = capsys.readouterr().err
    assert ended.value.code == 1, err
    assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err, err
    assert "Run: " in err, err
    return err


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("mkdocs.yml", b"site_name: \xff\xfe", "mkdocs.yml: not UTF-8"),
        ("mkdocs.yml", "site_name: é".encode("latin-1"), "mkdocs.yml: not UTF-8"),
        ("mkdocs.yml", b"a: [", "mkdocs.yml: "),
        pytest.param("mkdocs.yml", b"a: " + b"[" * 5000, "mkdocs.yml: ", marks=pytest.mark.slow),
        ("mkdocs.yml", b"a: 2020-13-45", "mkdocs.yml: month must be in 1..12"),
        ("mkdocs.yml", b"a: \0", "mkdocs.yml: "),
        ("sims/catcher.py", b"x = " + b"-" * 5000 + b"1", r"catcher\.py:\d+: nested too deeply"),
        ("sims/catcher.py", b"x = " + b"(" * 5000, r"catcher\.py:\d+: too many nested parentheses"),
        (
            "sims/catcher.py",
            b"x = lambda: " + b"lambda: " * 5000 + b"1",
            r"catcher\.py:\d+: nested",
        ),
        ("sims/catcher.py", b"x = '\xff'", r"catcher\.py:\d+: 'utf-8' codec can't decode"),
        ("sims/catcher.py", b"x = 1\0", r"catcher\.py:\d+: source code string cannot contain null"),
        ("sims/catcher.py", b"x = " + b"9" * 5000, r"catcher\.py:\d+: Exceeds the limit"),
        ("recipes/catcher/pixels.toml", b"seed = " + b"9" * 5000, "not valid TOML"),
        ("recipes/catcher/pixels.toml", b"a = " + b"[" * 5000, "not valid TOML"),
        ("recipes/catcher/pixels.toml", b"a = '\xff'", "not valid TOML"),
        ("recipes/catcher/pixels.toml", b"", "missing key world"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_a_bad_source_is_one_line(
    project: Path, file: str, data: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if file.endswith(".py"):
        data = b"class Catcher(Sim): pass\n" + data
    (project / file).write_bytes(data)
    assert re.search(said, told(capsys, "-C", str(project), "build", "--train", "never"))


def test_a_landmark_that_is_no_sensor_is_named_with_the_nearest(project: Path) -> None:
    recipe = project / "recipes" / "catcher" / "object_laws.toml"
    text = recipe.with_name("pixels.toml").read_text(encoding="utf-8")
    landmarks = 'landmarks = [{ x = "apple.0", y = "aple.y" }]\n'
    text = text.replace('"pixels"', '"object_laws"').replace('size = "small"', landmarks + "#")
    text = text.replace("more_stay", "#")  # a key of `pixels` alone
    recipe.write_text(text, encoding="utf-8")
    entry = Entry(Project(project).world("catcher"), "object_laws")
    said = r"landmarks\[0\].y is 'aple.y', .* nearest is 'apple.[01]'. Run: "
    with pytest.raises(UserError, match=said) as caught:
        entry.suit()
    assert str(recipe) in str(caught.value)


def test_a_page_that_is_not_utf8_is_named(project: Path, tmp_path: Path) -> None:
    terminal = Terminal(quiet=True)
    (project / "docs" / "index.md").write_text("# Home", encoding="utf-8")
    (project / "docs" / "other.md").write_bytes(b"# caf\xe9")
    build = plugin.Build(terminal, {}, "wm/app/", cache=tmp_path / "templates")
    with pytest.raises(UserError, match=r"^docs: .*other\.md.*not UTF-8.* Run: ") as caught:
        render.pages(Project(project), tmp_path / "out", build, terminal)
    assert "\n" not in str(caught.value)
