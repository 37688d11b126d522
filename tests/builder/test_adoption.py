"""Weights from elsewhere are taken in if they fit; two recordings of the same play are the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from building import Lines, copy_of, edit, said

from builder.commands import adopt
from builder.project.adoption import same_play
from builder.project.entries import Entry
from builder.project.worlds import Project
from sims.driving import Driving
from training.data.merge import merge


def test_weights_of_another_machine_are_measured_and_exported_here(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")
    project, given = copy_of(trained, tmp_path / "project"), tmp_path / "given"
    home = project / "weights" / "catcher" / "object_laws"
    shutil.copytree(home, given)
    shutil.rmtree(given / "graphs")
    (given / "metrics.json").unlink()
    before = json.loads((home / "metrics.json").read_text())
    shutil.rmtree(home)

    adopt.run(project, given, Lines())
    assert not Entry(Project.open(project).world("catcher"), "object_laws").due()
    assert json.loads((home / "metrics.json").read_text())["rows"] == before["rows"]
    assert list((home / "graphs").glob("*.onnx"))


def test_weights_that_do_not_fit_are_refused_and_destroy_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, given = copy_of(trained, tmp_path / "project"), tmp_path / "given"
    home = project / "weights" / "catcher" / "object_laws"
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}

    def refused() -> str:
        code, _, told = said(capsys, "-C", str(project), "adopt", str(given))
        assert code and told.count("\n") == 1
        assert {file: file.read_bytes() for file in home.rglob("*") if file.is_file()} == before
        return told

    given.mkdir()
    assert "no provenance.json says what they are of" in refused()
    shutil.copytree(home, given, dirs_exist_ok=True)
    whole = (given / "weights.safetensors").read_bytes()
    (given / "weights.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "damaged. Run: wmsite adopt" in refused()
    (given / "weights.safetensors").write_bytes(whole)
    told = json.loads((home / "provenance.json").read_text())
    told["recipe"]["seed"] = 2
    (given / "provenance.json").write_text(json.dumps(told))
    assert "'seed' of its recipe is not what its weights were made with" in refused()
    shutil.copy(home / "provenance.json", given)
    edit(project / "sims" / "catcher.py", "SPEED, FALL = 2, 1", "SPEED, FALL = 3, 1")
    assert "they were made from another sim than this project's" in refused()


@pytest.mark.slow
def test_what_is_held_counts_not_how_it_is_packed(tiny_drives: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    merge([tiny_drives], Driving.spec, other, 1, None)
    files = [sorted(path.glob("data/*/*.parquet")) for path in (tiny_drives, other)]
    assert len(files[0]) > len(files[1])  # cut otherwise
    assert same_play(tiny_drives, other)
    old = pq.ParquetFile(files[1][0])
    tables = [old.read_row_group(i) for i in range(old.num_row_groups)]

    def write(last: pa.Table) -> None:
        with pq.ParquetWriter(files[1][0], old.schema_arrow, compression="gzip") as writer:
            for table in [*tables[:-1], last]:
                writer.write_table(table)

    write(tables[-1])
    assert same_play(tiny_drives, other)
    done = tables[-1]["next.done"].to_pylist()
    place = old.schema_arrow.get_field_index("next.done")
    flipped = pa.array([not done[0], *done[1:]])
    write(tables[-1].set_column(place, "next.done", flipped))
    assert not same_play(tiny_drives, other)
