"""Keys, atomic writes and the lock: no unchanged work is repeated, and a kill loses nothing.

A key is the hash of everything that made a product. The hash of a source omits comments, docstrings
and blank lines, so that an edit of prose repeats no work.
"""

from __future__ import annotations

import ast
import ctypes
import errno
import functools
import hashlib
import io
import json
import os
import shutil
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from sims.errors import UserError
from sims.source import UNREADABLE, fault, parse
from training.locks import lock as lock

T = TypeVar("T")

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def sha256(data: bytes) -> str:
    """Return the sha256 of bytes as hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key(**parts: Any) -> str:
    """Return the hash of named JSON values: the same parts, the same key."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode())


def normalise(source: str, tree: ast.Module | None = None, imports: bool = True) -> str:
    """Return Python source without comments, docstrings and blank lines, or `imports` either.

    The text of the code itself does not change, so that every Python from 3.11 on gives the same
    result (their syntax trees and tokens differ, the text does not). Raises one of
    `sims.source.UNREADABLE`.
    """
    lines = source.splitlines(keepends=True)
    kept = [line.rstrip() for line in lines]
    inside: set[int] = set()  # Lines that begin within a string: blank ones count there.
    tree = tree or parse(source)
    cut: list[tuple[int, int, int, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno != node.lineno:
            inside.update(range(node.lineno, node.end_lineno or node.lineno))
        if not imports and isinstance(node, ast.Import | ast.ImportFrom):
            cut.append(_span(node, lines))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                cut.append(_span(first, lines))
    for number in inside:
        kept[number - 1] = lines[number - 1].rstrip("\r\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            cut.append((token.start[0], token.start[1], token.end[0], token.end[1]))
    for top, left, bottom, right in sorted(cut, reverse=True):
        head, tail = kept[top - 1][:left].rstrip(), kept[bottom - 1][right:].strip()
        kept[top - 1] = head + tail
        for number in range(top + 1, bottom + 1):
            kept[number - 1] = ""
            inside.discard(number - 1)
        inside.discard(top)
    return "\n".join(
        line for number, line in enumerate(kept, 1) if line.strip() or number - 1 in inside
    )


def _span(node: ast.stmt, lines: list[str]) -> tuple[int, int, int, int]:
    """Return (line, column, end line, end column) in characters, where ast counts bytes."""
    end = node.end_lineno or node.lineno
    left = len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
    right = len(lines[end - 1].encode()[: node.end_col_offset].decode())
    return node.lineno, left, end, right


def source_hash(path: Path) -> str:
    """Return the hash of a Python file's code; UserError where it can't be parsed."""
    return of_source(path, _source_hash)


def of_source(path: Path, found: Callable[[str], T]) -> T:
    """Return the result of a function of a Python file; UserError where it can't be parsed."""
    try:
        return found(path.read_text(encoding="utf-8"))
    except (*UNREADABLE, tokenize.TokenError) as error:
        line, reason = fault(error)
        raise UserError(f"{path}:{line}: {reason}. Run: mend that line, then build again") from None


@functools.lru_cache(maxsize=1024)
def _source_hash(source: str) -> str:
    return sha256(normalise(source).encode())


def tree_hash(paths: Iterable[Path], root: Path) -> str:
    """Return the hash of files and folders, by bytes and names; missing ones count as missing."""
    digest = hashlib.sha256()
    for path in paths:
        for file in files_of(path):
            name = os.path.relpath(file, root)
            try:
                digest.update(f"{name}\0{sha256_file(file)}\n".encode())
            except UnicodeEncodeError:
                said = name.encode(errors="surrogateescape").decode(errors="replace")
                raise UserError(
                    f"file '{said}': its name is not UTF-8, and no address can hold it. "
                    "Run: rename it, then build again"
                ) from None
    return digest.hexdigest()


def files_of(path: Path) -> Iterator[Path]:
    """Yield a file itself, or all files of a folder in a stable order, without bytecode."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.name != "__pycache__":
                yield from files_of(child)


def write(path: Path, data: bytes | str) -> None:
    """Write a temporary file, flush it to the disk, and swap it in as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON as `write` does."""
    write(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, shape: Any = Any) -> Any:
    """Return a file's JSON, or None if it is missing, unreadable, or of another shape.

    `shape` is a type that Pydantic knows, such as dict[str, int].
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return told if shape is Any else _adapter(shape).validate_python(told, strict=True)
    except (OSError, ValueError, RecursionError):  # Pydantic raises a ValueError.
        return None


@functools.lru_cache(maxsize=64)
def _adapter(shape: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def swap(new: Path, old: Path) -> None:
    """Put the folder `new` in the place of `old`, in one step if the system can; drop the old one.

    Linux exchanges both names at once. Elsewhere this takes two renames, and `recover` repairs the
    state after a kill between them. Parts of the old folder that cannot be deleted are reported.
    """
    old.parent.mkdir(parents=True, exist_ok=True)
    if not old.exists():
        new.rename(old)
        return
    if not _exchange(new, old):
        aside = _aside(old)
        shutil.rmtree(aside, ignore_errors=True)
        old.rename(aside)
        new.rename(old)
        new = aside
    drop(new)


def drop(folder: Path) -> None:
    """Delete a folder of ours; report in one line what cannot be deleted."""
    reasons: list[BaseException] = []
    shutil.rmtree(folder, onerror=lambda *told: reasons.append(told[2][1]))
    if reasons and folder.exists():
        error = reasons[0]
        said = error.strerror if isinstance(error, OSError) else error
        place = getattr(error, "filename", None) or folder
        click.echo(
            f"warning: {folder}: left over, and can't be deleted ({place}: {said}). "
            "Run: delete it as whoever may",
            err=True,
        )


def recover(folder: Path) -> None:
    """Restore a folder that a kill in the middle of `swap` left under another name."""
    aside = _aside(folder)
    if aside.exists():
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.wmsite-old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically; False where the system or file system can't."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    done = rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))


def hashed(files: Mapping[str, str]) -> str:
    """Return the short hash that names a folder of files (path -> sha256)."""
    return key(**files)[:12]
