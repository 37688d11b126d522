"""The verbs of `wmsite data` on the command line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from builder import extras
from builder.terminal import Terminal
from sims.errors import UserError

skip_bad = click.option("--skip-bad", is_flag=True, help="Use what is good, and warn of the rest.")
wait = click.option(
    "--wait", is_flag=True, help="Wait for another wmsite to end instead of failing."
)
gym_id = click.option(
    "--gym", metavar="ID", help="Of this Gymnasium environment, which runs while it is recorded."
)
gym_imports = click.option(
    "--gym-import", "gym_imports", metavar="MODULE", multiple=True,
    help="A module that registers its ID; may be given several times.",
)  # fmt: skip
dataset = click.argument("name", metavar="DATASET")


class Verb(click.Command):
    """A verb of `wmsite data`: its help needs no package, its work needs pyarrow."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; UserError where pyarrow is not installed."""
        if importlib.util.find_spec("pyarrow") is None:
            raise UserError(
                f"data: pyarrow is not installed. Run: {extras.install('train')}, then the same "
                "again",
                exit_code=3,
            )
        return super().invoke(ctx)


class Verbs(click.Group):
    """The verbs of `wmsite data`."""

    command_class = Verb


@click.group(cls=Verbs)
def data() -> None:
    """Record datasets, query them, play their windows, and find their faults.

    \b
    wmsite data record driving          the dataset of recipes/driving/data.toml
    wmsite data query driving --event collision_vehicle
    wmsite data window driving --episode 12
    wmsite data verify driving

    DATASET is a folder, a name that `list` shows, or a world, which means its newest dataset.

    All verbs need the `train` extra. If a package is missing, the command that installs it is
    printed.
    """


@data.command()
@click.argument("world", required=False)
@gym_id
@gym_imports
@click.option("--steps", type=click.IntRange(100), help="With --gym: how many.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False),
    help="With --gym: the folder of the dataset (default: tapes/NAME).",
)  # fmt: skip
@click.option("--shard", metavar="K/N", help="This one of the recipe's shards alone.")
@click.option("--processes", type=click.IntRange(1), help="How many at once (default: the cores).")
@click.option("--finished", is_flag=True, help="Make a dataset of the shards that are finished.")
@wait
@click.pass_obj
def record(
    project: Path, /, world: str | None, gym: str | None, gym_imports: tuple[str, ...],
    steps: int | None, out: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Record the missing parts of the dataset that the recipe of WORLD describes.

    \b
    wmsite data record driving --shard 1/20     one shard, while other processes record theirs
    wmsite data record driving --finished       after a kill: the finished shards, as a dataset
    wmsite data record --gym CartPole-v1        an environment, without a project

    The dataset is the same to the byte, whichever process records its shards. If a recording is
    killed, the same command continues from its finished shards.
    """
    from builder.commands import data as verb
    from builder.commands import new_gym

    asked = new_gym.Asked.of(gym, gym_imports)
    if (world is None) == (asked is None):
        raise UserError("data record: name a WORLD of the project, or --gym ID", exit_code=2)
    if asked:
        return new_gym.record(asked, project, out, steps, options["processes"], Terminal())
    if steps or out:
        raise UserError("data record: --steps and --out go with --gym alone", exit_code=2)
    assert world is not None
    verb.record(project, world, Terminal(), **options)


@data.command()
@click.argument("world")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the games (default: person.json beside the recipe).",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port (default: a free one).")
@click.pass_obj
def play(project: Path, /, world: str, **options: Any) -> None:
    """Play the environment of WORLD yourself, in the browser, and keep the games.

    The environment runs here, and the page shows its frames. Name the file of the games under
    `behaviours` in the recipe, and `wmsite data record WORLD` records them, too.
    """
    from builder.commands import data_play

    data_play.run(project, world, terminal=Terminal(), **options)


@data.command("list")
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.pass_obj
def listed(project: Path, /, folders: tuple[Path, ...]) -> None:
    """List the datasets of the project's cache, or of FOLDERs."""
    from builder.commands import data as verb

    verb.listed(project, list(folders), Terminal())


@data.command()
@dataset
@skip_bad
@click.pass_obj
def show(project: Path, /, name: str, skip_bad: bool) -> None:
    """Show the content of DATASET: modalities with their columns and units, and counts."""
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
    """Find episodes of DATASET in its manifest, without reading a frame.

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
    """Write a page that plays a window of DATASET, all modalities together.

    \b
    wmsite data window driving --episode 12 --from 3 --seconds 5 -o crash.html

    The page is one file, loads nothing else, and opens in any browser.
    """
    from builder.commands import data as verb
    from builder.commands import data_window

    data_window.run(verb.find(project, name), Terminal(), **options, root=project)


@data.command()
@dataset
@click.option("--frames/--no-frames", default=True, help="Decode every image, too.")
@click.option("--skip-bad", is_flag=True, help="No error as long as something can be used.")
@click.pass_obj
def verify(project: Path, /, name: str, frames: bool, skip_bad: bool) -> None:
    """Read all of DATASET, and report its faults by name.

    The exit code is 1 if there is a fault. Nothing is changed; --skip-bad uses the good parts.
    """
    from builder.commands import data as verb

    verb.verify(project, name, Terminal(), frames, skip_bad)


@data.command("import")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--into", metavar="DATASET", help="Make them part of this dataset.")
@click.option("--edited", is_flag=True, help="Games on an edited sim, too: runs its sources.")
@click.option("--skip-bad", is_flag=True, help="Leave out, with a warning, what is refused.")
@click.pass_obj
def imported(project: Path, /, files: tuple[Path, ...], **options: Any) -> None:
    """Make a dataset of the games that the page's button saved.

    \b
    wmsite data import ~/Downloads/driving-*.wmsite.json
    wmsite data import mine.wmsite.json --into driving

    The games are played again, step by step, and must reach the same end. Their behaviour is
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
    """Make a dataset card: counts, distributions and sample windows, for the world's page."""
    from builder.commands import data as verb
    from builder.commands import data_card

    data_card.run(project, verb.find(project, name), Terminal(), out, skip_bad)


@data.command()
@click.argument("world")
@click.option("--behaviour", metavar="NAME", help="Who plays (default: the world's first).")
@click.option("--games", type=click.IntRange(1), default=200, show_default=True, help="A scenario.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False),
    help="The folder (default: data-cards/WORLD).",
)  # fmt: skip
@click.pass_obj
def rates(project: Path, /, world: str, **options: Any) -> None:
    """Measure the rate of each event of WORLD, by scenario, while a behaviour plays.

    The games are played in this Python, with seeds that are never recorded. The world's page shows
    the shares with their intervals.
    """
    from builder.commands import data_rates

    data_rates.run(project, world, Terminal(), **options)


@data.command()
@click.argument("world")
@click.argument("scenario", required=False, default="")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="The game's."
)
@click.option(
    "--seconds", type=click.FloatRange(0, 3600, min_open=True), default=10.0, show_default=True,
    help="At most.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="The file (default: WORLD-SCENARIO-SEED.xosc).",
)  # fmt: skip
@click.pass_obj
def scenario(project: Path, /, world: str, **options: Any) -> None:
    """Write a game of a driving WORLD as OpenSCENARIO XML 1.2, for other simulators.

    \b
    wmsite data scenario driving cut-in --seed 3
    wmsite data scenario driving late-pedestrian/fog --seconds 15

    The other road users drive as they do in the game. The driven vehicle has its start alone.
    """
    from builder.commands import data_scenario

    data_scenario.run(project, world, terminal=Terminal(), **options)
