"""The code that decides a product: what makes it due again, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.project import code, entries, environment, in_page
from builder.project.worlds import PACKAGES
from training import attacks, families
from training.evaluation import measures

FILES = {
    "training/__init__.py": "",
    "training/data/__init__.py": "",
    "training/data/model.py": "SIZE = 3\n",
    "training/nets/__init__.py": "",
    "training/nets/model.py": "from training.data.model import SIZE\n\nWIDTH = SIZE * 2\n",
    "training/progress.py": "DOTS = 3\n",
    "training/unused.py": "X = 1\n",
    "builder/__init__.py": "",
    "builder/export/graphs.py": """from __future__ import annotations

import json
from typing import TYPE_CHECKING

from training import progress
from training.nets import model
from training.nets.model import WIDTH

if TYPE_CHECKING:
    from training.unused import X


def make() -> str:
    return json.dumps([model.WIDTH, WIDTH, progress.DOTS])
""",
}


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "PACKAGES", tmp_path)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_the_closure_leaves_out_what_decides_no_number(rooms: Path) -> None:
    found = code.closure(["builder.export.graphs"])
    assert [name for name in found if (code.find(name) or rooms).stat().st_size] == [
        "builder.export.graphs",
        "training.data.model",
        "training.nets.model",
    ]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/data/model.py", "3", "4"),
        ("training/nets/model.py", "* 2", "* 3"),
        ("builder/export/graphs.py", "import json", "import marshal as json"),
        ("builder/export/graphs.py", "nets import model", "data import model"),
        ("builder/export/graphs.py", "nets.model import WIDTH", "data.model import SIZE as WIDTH"),
        ("training/data/__init__.py", "", "SIZE = 5\n"),
    ],
)
def test_an_edit_counts(rooms: Path, file: str, old: str, new: str) -> None:
    before = code.code_hash(["builder.export.graphs"])
    edit(rooms / file, old, new)
    assert code.code_hash(["builder.export.graphs"]) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/progress.py", "3", "4"),
        ("training/unused.py", "1", "2"),
        ("training/data/model.py", "SIZE", "# A comment.\nSIZE"),
        ("builder/export/graphs.py", "import TYPE_CHECKING\n\n", "import TYPE_CHECKING\n"),
    ],
)
def test_an_edit_that_decides_no_number_counts_for_nothing(
    rooms: Path, file: str, old: str, new: str
) -> None:
    before = code.code_hash(["builder.export.graphs"])
    edit(rooms / file, old, new)
    assert code.code_hash(["builder.export.graphs"]) == before


def test_a_module_that_is_moved_and_renamed_counts_as_before(rooms: Path) -> None:
    before = code.code_hash(["builder.export.graphs"])
    (rooms / "training/families").mkdir()
    (rooms / "training/families/__init__.py").write_text('"""Families."""\n')
    (rooms / "training/nets/model.py").rename(rooms / "training/families/laws.py")
    graphs = rooms / "builder/export/graphs.py"
    edit(graphs, "training.nets import model", "training.families import laws as model")
    edit(graphs, "training.nets.model import", "training.families.laws import")
    assert code.code_hash(["builder.export.graphs"]) == before


def test_relative_imports_count_like_others(rooms: Path) -> None:
    before = code.code_hash(["builder.export.graphs"])
    nets = rooms / "training/nets/model.py"
    edit(nets, "from training.data.model", "from ..data.model")
    assert code.code_hash(["builder.export.graphs"]) == before
    (rooms / "training/nets/layers.py").write_text("DEEP = 2\n")
    edit(nets, "SIZE * 2", "SIZE * DEEP")
    nets.write_text(f"from .layers import DEEP\n{nets.read_text()}")
    deep = code.code_hash(["builder.export.graphs"])
    edit(rooms / "training/nets/layers.py", "2", "3")
    assert len({before, deep, code.code_hash(["builder.export.graphs"])}) == 3


def test_two_files_of_one_name_are_two(rooms: Path) -> None:
    before = code.code_hash(["builder.export.graphs"])
    data, nets = rooms / "training/data/model.py", rooms / "training/nets/model.py"
    edit(data, "3", "4")
    other = code.code_hash(["builder.export.graphs"])
    edit(data, "4", "3")
    edit(nets, "* 2", "* 4")
    assert len({before, other, code.code_hash(["builder.export.graphs"])}) == 3


def test_every_training_module_counts_or_is_known_not_to() -> None:
    begun = [name for names in (*entries.CODE.values(), entries.CONVERT) for name in names]
    begun += [environment.RECORD, in_page.AS_SIM]
    parts = {part for some in entries.PARTS.values() for part in some}
    begun += [families.module(f, part) for f in families.names() for part in sorted(parts)]
    begun += [measures.module(name) for name in measures.names()]
    begun += [f"training.attacks.{name}" for name in ("campaign", *attacks.names())]
    counted = set(code.closure(begun))
    silent = {
        # A recipe that they refuse is not trained; drawings decide nothing.
        "training.suits",
        "training.limits",
        *(families.module(f, part) for f in families.names() for part in ("options", "diagram")),
        # What is imported or shown decides no step of a model that a recipe asks for.
        "training.data.saved_games",
        "training.data.windows",
    }
    there = {
        ".".join(file.relative_to(PACKAGES).with_suffix("").parts).removesuffix(".__init__")
        for file in (PACKAGES / "training").rglob("*.py")
    }
    silent -= counted  # A model may read its sizes from its options.
    assert there - silent == {n for n in counted | code.QUIET if n.split(".")[0] == "training"}
    assert all(code.find(name) for name in code.QUIET)
