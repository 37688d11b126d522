"""Rows on disk: an array that is too large for memory, read a few rows at a time.

A memory map would do too, but every page that was read through one counts as memory of the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sims.contract import Array


class Rows:
    """The rows of a `.npy` file, of `shape` [T, ...]; an index reads rows as an array."""

    def __init__(self, path: Path) -> None:
        """Open a file that `Writer` wrote; ValueError or OSError for any other."""
        head = np.load(path, mmap_mode="r")
        if not isinstance(head, np.memmap) or not head.flags.c_contiguous:
            raise ValueError(f"{path}: not a plain array")
        self.path, self.shape, self.dtype = path, head.shape, head.dtype
        self._first = head.offset
        self._size = head[:1].nbytes
        self._file = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def __getitem__(self, key: Any) -> Array:
        """Read rows: a number, a slice, or int64 numbers of any shape; more indices follow them."""
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        asked = np.asarray(rows, np.int64)
        found = self._read(asked.ravel()).reshape(*asked.shape, *self.shape[1:])
        return found[(*(slice(None) for _ in asked.shape), *rest)] if rest else found

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, rows: Array) -> Array:
        rows = np.where(rows < 0, rows + len(self), rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"{self.path}: rows 0 to {len(self) - 1}")
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        # Successive rows are read together.
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        for first, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            part = out[first:stop].reshape(-1).view(np.uint8).data
            at = self._first + int(rows[first]) * self._size
            while len(part):
                count = os.preadv(self._file, [part], at)
                if count <= 0:
                    raise OSError(f"{self.path}: ends early")
                part, at = part[count:], at + count
        return out


class Writer:
    """Write the rows of a new `.npy` file, in any order and from several threads."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Lay out `path` aside; leaving the context puts it in place, an error removes it."""
        self.path, self.aside = path, path.with_suffix(f".{os.getpid()}")
        head = np.lib.format.open_memmap(self.aside, "w+", dtype, shape)
        self.dtype, self._first, self._size = head.dtype, head.offset, head[:1].nbytes
        del head
        self._file = os.open(self.aside, os.O_WRONLY)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        os.close(self._file)
        if error is None:
            self.aside.replace(self.path)
        self.aside.unlink(missing_ok=True)

    def write(self, first: int, values: Array) -> None:
        """Write rows from row `first` on."""
        data = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data
        at = self._first + first * self._size
        while len(data):
            count = os.pwrite(self._file, data, at)
            data, at = data[count:], at + count
