"""Show the progress of a long job: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

WRITTEN = 0.5  # seconds between two writes of the file
BAR = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}"


class Progress:
    """Show `title`, progress towards `total` and the time left, on stderr.

    On a terminal a tqdm bar; elsewhere one plain line every `interval` seconds and one at the end.
    If WMSITE_PROGRESS names a file, the progress also goes there, as JSON. Use as a context
    manager.
    """

    def __init__(
        self,
        title: str,
        total: float,
        unit: str = "steps",
        interval: float = 15.0,
        stream: TextIO | None = None,
    ) -> None:
        self.title, self.total, self.unit, self.interval = title, total, unit, interval
        self.stream = stream or sys.stderr
        self.done = 0.0
        self.metrics: dict[str, float | str] = {}
        self.bar: Any = None
        self.began = self.told = time.monotonic()
        self.file = os.environ.get("WMSITE_PROGRESS")
        self.written = 0.0
        self.began_at = 0.0  # The work of an earlier run says nothing about the pace of this one.

    def __enter__(self) -> Self:
        self.began = self.told = time.monotonic()
        if self.stream.isatty():
            self.bar = tqdm(
                total=self.total, desc=self.title, file=self.stream, bar_format=BAR, leave=True
            )
        else:
            print(f"{self.title}: started", file=self.stream, flush=True)
        return self

    def resume(self, done: float) -> None:
        """Count `done` as finished before this run, so that the time left stays true."""
        self.done = self.began_at = done
        if self.bar is not None:
            self.bar.initial = self.bar.n = done
            self.bar.refresh()

    def expect(self, amount: float) -> None:
        """Count `amount` more as left to do."""
        self.total += amount
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.refresh()

    def update(self, amount: float, **metrics: float | str) -> None:
        """Count `amount` more as done, and show these metrics from now on."""
        self.done += amount
        self.metrics.update(metrics)
        if self.bar is not None:
            if self.metrics:
                self.bar.set_postfix_str(self._suffix(), refresh=False)
            self.bar.update(min(amount, self.total - self.bar.n))
        elif time.monotonic() - self.told >= self.interval:
            self._tell()
        if self.file and time.monotonic() - self.written >= WRITTEN:
            self._write()

    def say(self, text: str) -> None:
        """Write a line that stays: above the bar, or in the log."""
        line = f"{self.title}: {text}"
        if self.bar is not None:
            self.bar.write(line, file=self.stream)
        else:
            print(line, file=self.stream, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            # A job with a limit of time, or with a wrong estimate, ends before its total.
            self.done = max(self.done, self.total)
        if self.bar is not None:
            if kind is None:
                self.bar.update(self.total - self.bar.n)
            self.bar.close()
        else:
            self._tell("done" if kind is None else f"stopped ({kind.__name__})")

    def _suffix(self) -> str:
        return ", ".join(
            f"{k}: {v:.3g}" if isinstance(v, float) else f"{k}: {v}"
            for k, v in self.metrics.items()
        )

    def _left(self) -> float | None:
        """Return the seconds left at the pace so far."""
        gained = self.done - self.began_at
        spent = time.monotonic() - self.began
        # A sum of parts may end slightly above the total.
        return spent * max(0.0, self.total - self.done) / gained if gained > 0 else None

    def _write(self) -> None:
        """Write the progress, and the text beside the bar, to the file as a whole."""
        self.written = time.monotonic()
        share = min(1.0, self.done / self.total) if self.total else 1.0
        told = {"title": self.title, "share": share, "left": self._left(), "said": self._suffix()}
        aside = Path(f"{self.file}.{os.getpid()}")
        aside.write_text(json.dumps(told), encoding="utf-8")
        aside.replace(str(self.file))

    def _tell(self, end: str = "") -> None:
        self.told = time.monotonic()
        spent = self.told - self.began
        if not end:
            left = self._left()
            end = "time left unknown" if left is None else f"{_clock(left)} left"
        share = 100 * self.done / self.total if self.total else 100.0
        amount = "" if self.unit == "%" else f" ({self.done:.0f}/{self.total:.0f} {self.unit})"
        said = [f"{self.title}: {share:.0f}%{amount}", f"{_clock(spent)} gone", end]
        print(", ".join([*said, *filter(None, [self._suffix()])]), file=self.stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
