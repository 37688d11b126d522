"""The output of the command: lines, warnings that strict mode counts, and a tree with sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import click


@dataclass
class Terminal:
    """The output of a verb; `warnings` holds what strict mode counts."""

    quiet: bool = False
    warnings: list[str] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        """Print one line."""
        if not self.quiet:
            click.echo(text)

    def warn(self, text: str) -> None:
        """Print a warning on stderr, once, and count it."""
        line = " ".join(text.split())
        if line not in self.warnings:
            self.warnings.append(line)
            click.echo(f"warning: {line}", err=True)


def size(count: int) -> str:
    """Return bytes for people: "812 B", "4.1 kB", "12.3 MB"."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    if value >= 1000:
        value, unit = value / 1000, "MB"
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def several(count: int, what: str) -> str:
    """Return a count with its noun: "1 page", "2,000 pages"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def tree(files: Mapping[str, int], title: str, depth: int = 3, rows: int = 12) -> str:
    """Draw files (POSIX path -> bytes) as a tree down to `depth`; deeper files are summed up.

    A folder with more than `rows` entries shows the first ones and the number of the others.
    """
    folders: dict[PurePosixPath, dict[str, tuple[int, int]]] = {}
    for path, count in files.items():
        parts = PurePosixPath(path).parts
        for level in range(min(len(parts), depth)):
            here = folders.setdefault(PurePosixPath(*parts[:level]), {})
            name = parts[level] + ("/" if level + 1 < len(parts) else "")
            total, number = here.get(name, (0, 0))
            here[name] = (total + count, number + 1)
    lines: list[tuple[str, int, int]] = [(title, sum(files.values()), len(files))]

    def walk(folder: PurePosixPath, indent: str) -> None:
        entries = sorted(folders[folder].items(), key=lambda e: (not e[0].endswith("/"), e[0]))
        shown = entries if len(entries) <= rows else entries[: rows - 1]
        for place, (name, (count, number)) in enumerate(shown):
            last = place == len(entries) - 1
            lines.append((f"{indent}{'└─' if last else '├─'} {name}", count, number))
            child = folder / name.rstrip("/")
            if name.endswith("/") and child in folders:
                walk(child, indent + ("   " if last else "│  "))
        rest = entries[len(shown) :]
        if rest:
            lines.append(
                (
                    f"{indent}└─ ... {len(rest)} more",
                    sum(count for _, (count, _) in rest),
                    sum(number for _, (_, number) in rest),
                )
            )

    if files:
        walk(PurePosixPath(), "")
    width = max(len(text) for text, _, _ in lines)
    return "\n".join(
        f"{text:<{width}}  {size(count):>8}" + (f"  {number} files" if number > 1 else "")
        for text, count, number in lines
    )
