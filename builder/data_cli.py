"""The verbs of `wmsite data`, as the command line has them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from builder.terminal import Terminal
from sims.errors import UserError

skip_bad = click.option("--skip-bad", is_flag=True, help="Use what is good, and warn of the rest.")
wait = click.option(
    "--wait", is_flag=True, help="Wait for another wmsite to end instead of failing."
)
dataset = click.argument("name", metavar="DATASET")


@click.group()
def data() -> None:
    """Record datasets, ask them, play their windows, and find what is wrong with them.

    \b
    wmsite data record driving          what recipes/driving/data.toml asks for
    wmsite data query driving --event collision_vehicle
    wmsite data window driving --episode 12
    wmsite data verify driving

    DATASET is a folder, a name that `list` shows, or a world: the newest of that.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            "data: pyarrow is not installed. Run: pip install 'wmsite[train]', then the same again",
            exit_code=3,
        )


@data.command()
@click.argument("world")
@click.option("--shard", metavar="K/N", help="This one of the recipe's shards alone.")
@click.option("--processes", type=click.IntRange(1), help="How many at once (default: the cores).")
@click.option("--finished", is_flag=True, help="Make a dataset of the shards that are finished.")
@wait
@click.pass_obj
def record(project: Path, /, **options: Any) -> None:
    """Record the dataset of WORLD that its recipe asks for: what of it is not there.

    \b
    wmsite data record driving --shard 1/20     one part, beside others that record theirs
    wmsite data record driving --finished       after a kill: what is there, as a dataset

    It is the same to the byte, whoever records its shards. A killed recording goes on from them.
    Needs the `train` extra, as all of `wmsite data` does.
    """
    from builder.commands import data as verb

    verb.record(project, options.pop("world"), Terminal(), **options)


@data.command("list")
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.pass_obj
def listed(project: Path, /, folders: tuple[Path, ...]) -> None:
    """List datasets: of the project's cache, or in FOLDERs."""
    from builder.commands import data as verb

    verb.listed(project, list(folders), Terminal())


@data.command()
@dataset
@skip_bad
@click.pass_obj
def show(project: Path, /, name: str, skip_bad: bool) -> None:
    """Show what DATASET holds: modalities with their columns and units, and counts."""
    from builder.commands import data as verb

    verb.show(verb.find(project, name), Terminal(), skip_bad)


@data.command()
@dataset
@click.option("--split", metavar="NAME")
@click.option("--scenario", metavar="NAME", help='Such as "junction", or "junction/fog".')
@click.option("--condition", metavar="NAME")
@click.option("--behaviour", metavar="NAME", help='"person": driven in the page.')
@click.option("--event", metavar="NAME", help="Episodes in which it happened, and when.")
@click.option("--least", type=int, default=0, help="Fewest rows of an episode.")
@click.option("--most", type=int, help="Most rows of an episode.")
@click.option("--limit", type=int, default=20, show_default=True, help="Episodes to list.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@skip_bad
@click.pass_obj
def query(
    project: Path, /, name: str, limit: int, as_json: bool, skip_bad: bool, **asked: Any
) -> None:
    """Find episodes of DATASET by what its manifest says; no frame is opened.

    \b
    wmsite data query driving --scenario junction/fog --behaviour aggressive
    wmsite data query driving --event red_light --json
    """
    from builder.commands import data as verb

    if asked["scenario"] and "/" in asked["scenario"]:
        asked["scenario"], _, asked["condition"] = asked["scenario"].partition("/")
    folder = verb.find(project, name)
    verb.query(folder, verb.Asked(**asked), Terminal(), limit, as_json, skip_bad)


@data.command()
@dataset
@click.option("--episode", type=int, default=0, show_default=True)
@click.option("--from", "start", type=float, default=0.0, help="Seconds into it.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="How long.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The page to write."
)
@skip_bad
@click.pass_obj
def window(project: Path, /, name: str, **options: Any) -> None:
    """Write a page that plays a window of DATASET, all modalities in step.

    \b
    wmsite data window driving --episode 12 --from 3 --seconds 5 -o crash.html

    It is one file, asks no other for anything, and opens in any browser.
    """
    from builder.commands import data as verb
    from builder.commands import data_window

    data_window.run(verb.find(project, name), Terminal(), **options)


@data.command()
@dataset
@click.option("--frames/--no-frames", default=True, help="Decode every image, too.")
@click.option("--skip-bad", is_flag=True, help="No error as long as something can be used.")
@click.pass_obj
def verify(project: Path, /, name: str, frames: bool, skip_bad: bool) -> None:
    """Read all of DATASET, and report by name what is wrong with it.

    Exit code 1 if anything is. Nothing is changed: what is good can be used with --skip-bad.
    """
    from builder.commands import data as verb

    verb.verify(verb.find(project, name), Terminal(), frames, skip_bad)


@data.command("import")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--into", metavar="DATASET", help="Make them part of this dataset.")
@click.option("--edited", is_flag=True, help="Games on an edited sim, too: runs its sources.")
@click.option("--skip-bad", is_flag=True, help="Leave out, with a warning, what is refused.")
@click.pass_obj
def imported(project: Path, /, files: tuple[Path, ...], **options: Any) -> None:
    """Make a dataset of recordings that the page's button saved.

    \b
    wmsite data import ~/Downloads/driving-*.wmsite.json
    wmsite data import mine.wmsite.json --into driving

    The games are played again, step by step, and must come to the same end. Their behaviour is
    "person", their split "train".
    """
    from builder.commands import data_import

    data_import.run(project, list(files), Terminal(), **options)


@data.command()
@dataset
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False),
    help="The folder (default: data-cards/WORLD).",
)  # fmt: skip
@skip_bad
@click.pass_obj
def card(project: Path, /, name: str, out: Path | None, skip_bad: bool) -> None:
    """Make a dataset's card: counts, distributions and sample windows, for the world's page."""
    from builder.commands import data as verb
    from builder.commands import data_card

    data_card.run(project, verb.find(project, name), Terminal(), out, skip_bad)
