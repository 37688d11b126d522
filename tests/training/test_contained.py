"""What data names is a plain file inside its own folder, and never a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sims.errors import UserError
from training import contained

BAD = [
    "", ".", "..", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.", "C:/x", "C:x",
    "\\\\host\\x", "a\\..\\x", "a\0b", "a\nb", "a\x7f", "\u2028", "x" * 256, "a*", 'a"b', "<b>",
    None, 3, ["a"], {"a": 1}, b"a", True,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_no_name_leads_out(tmp_path: Path, name: object) -> None:
    assert not contained.plain(name)
    with pytest.raises(UserError, match=r"^it: names ") as failed:
        contained.inside(tmp_path, name, "it")
    assert "\n" not in str(failed.value) and len(str(failed.value)) < 400


@pytest.mark.parametrize("name", ["a", "a.onnx", "step.2.fp16.onnx", "a/b.png", ".x", "é", "a b"])
def test_plain_names_are_taken(tmp_path: Path, name: str) -> None:
    assert contained.inside(tmp_path, name, "it") == tmp_path / name  # there or not
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    assert contained.inside(tmp_path, name, "it").read_text() == "x"
    assert contained.files(tmp_path, "it") == [tmp_path / name]


def test_links_and_what_is_no_file_are_refused_wherever_they_are(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "real").mkdir(parents=True)
    (home / "real" / "file").write_text("x")
    (tmp_path / "secret").write_text("secret")
    (home / "link").symlink_to(tmp_path / "secret")
    (home / "way").symlink_to("real")
    (home / "loop").symlink_to("loop")
    (home / "gone").symlink_to("nowhere")
    os.mkfifo(home / "pipe")
    for name in ("link", "way/file", "loop", "gone", "pipe", "real", "real/file/x"):
        with pytest.raises(UserError, match=r"is (a link|no file|no folder)"):
            contained.inside(home, name, "it")
    for name in ("gone", "link", "loop", "pipe", "way"):
        with pytest.raises(UserError, match=f"^it: {home / name} is (a link|no file)"):
            contained.files(home, "it")
        (home / name).unlink()
    assert contained.files(home, "it") == [home / "real" / "file"]


def test_an_ending_may_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"names 'a\.html', and such a file ends in \.onnx"):
        contained.inside(tmp_path, "a.html", "it", (".onnx",))
