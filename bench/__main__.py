"""Measure every figure, or some groups: python -m bench [sim] [data] [model] and so on.

`cartpole` and `starter` take ten minutes each, `edits` half an hour, `full` two or three hours and
`tests` as long as `make test`, and `doom` and `rooms` need recordings of ViZDoom, so they run only
on request. `edits:gravity,colours` measures these edits alone. `same:COMMIT` compares with the code
of another commit.
"""

from __future__ import annotations

import sys
from importlib import import_module

from bench import table
from sims.errors import UserError

GROUPS = ("sim", "data", "model", "driving", "pixels", "environments", "page", "build", "train")
LONG = ("cartpole", "doom", "rooms", "starter", "edits", "full", "same", "tests")


def main(names: list[str]) -> int:
    unknown = [n for n in names if n not in GROUPS and n.partition(":")[0] not in LONG]
    if unknown:
        print(f"unknown group {unknown[0]!r}. Known: {', '.join(GROUPS + LONG)}", file=sys.stderr)
        return 2
    figures: list[table.Figure] = []
    told = table.machine()
    for name in names or GROUPS:
        print(f"bench {name} ...", file=sys.stderr, flush=True)
        group, _, some = name.partition(":")
        try:
            found = import_module(f"bench.{group}").measure(*filter(None, some.split(",")))
        except UserError as error:
            found = [table.Figure(name, None, "", note=str(error))]
        table.save(name.replace(":", "-"), found)
        figures += found
    text = table.markdown(figures)
    about = f"{told['cpu']}, {told['cores']} cores, load {told['load']} at the start"
    (table.OUT / "bench.md").write_text(f"{about}\n\n{text}\n")
    print(f"{about}\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
