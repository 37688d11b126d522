"""The `wmsite` command: options, help and errors; each verb is a module of `builder.commands`."""

from __future__ import annotations

import errno
import io
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from builder import lifetime
from builder.commands.data_options import data, gym_id, gym_imports
from builder.terminal import Terminal
from sims.errors import UserError

EPILOG = """\b
Exit codes: 0 done; 1 the build or a check failed; 2 wrong usage;
3 something must be trained and torch is not installed; 130 interrupted."""


@click.group(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96}
)
@click.option(
    "-C",
    "--project",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The project's folder (default: here).",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="wmsite")
@click.pass_context
def cli(context: click.Context, project: Path, debug: bool) -> None:
    """Turn Python simulators into a static website of playable neural worlds.

    \b
    wmsite new my-world       make a small site with one editable sim
    wmsite build              record, train, export and render what changed
    wmsite serve              build, serve, and show every edit in the browser
    """
    context.obj = project


site_dir = click.option(
    "--site-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the site goes (default: site): a new or empty folder, or a site built before.",
)
base_path = click.option(
    "--base", metavar="/PATH/", help="The path that the site will be served under."
)
compare = click.option(
    "--compare/--no-compare",
    default=True,
    help="Play sims that changed in the browser's Python too, and compare.",
)
wait = click.option(
    "--wait", is_flag=True, help="Wait for another wmsite to end instead of failing."
)
family = click.option("--family", metavar="NAME", help="This model family alone.")
training = click.option(
    "--train",
    type=click.Choice(["auto", "never", "later", "full"]),
    default="auto",
    show_default=True,
    help="auto: train what is out of date, from the nearest weights; never: take what is there; "
    "later: and models of the sim before an edit too, marked; full: train anew.",
)
only = click.option("--only", metavar="WORLD", help="Train this world alone.")
strict = click.option("--strict", is_flag=True, help="Warnings fail the build.")


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@gym_id
@gym_imports
def new(folder: Path, gym: str | None, gym_imports: tuple[str, ...]) -> None:
    """Make a small site with one editable sim in DIR, which must be new or empty.

    \b
    wmsite new my-world && cd my-world && wmsite serve --train never
    wmsite new pole --gym CartPole-v1 && cd pole && wmsite build

    With --gym, the world is learned from that environment's frames, and there is no sim.
    """
    from builder.commands import new as verb
    from builder.commands import new_gym

    asked = new_gym.Asked.of(gym, gym_imports)
    verb.run(folder, Terminal(), asked)


@cli.command()
@only
@training
@site_dir
@base_path
@strict
@wait
@compare
@click.option("--tree", is_flag=True, help="Show the site's files, with their sizes.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.pass_obj
def build(project: Path, /, quiet: bool, **options: Any) -> None:
    """Build the site: redo what changed, swap it in as a whole, show the result.

    \b
    wmsite build --base /repo/          for a project site such as GitHub Pages
    wmsite build --only breakout        train only that world, use the others unchanged
    wmsite build --train never          never train; worlds without weights play their sim

    If a build is killed, the old site stays complete.
    """
    from builder.commands import build as verb

    verb.run(verb.Options(root=project, **options), Terminal(quiet))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, help="The port (default: a free one, 8000 if it is).")
@only
@training
@site_dir
@base_path
@strict
@click.pass_obj
def serve(project: Path, /, host: str, port: int | None, **options: Any) -> None:
    """Build and serve the site, and show every edit of sims, pages and templates at once.

    \b
    wmsite serve --train never          edit a sim without ever training
    wmsite serve --base /repo/          the site under a sub-path

    If an edit has an error, the terminal and the page show it, and the site stays unchanged. The
    page shows an edited sim at once, with the existing model. A new model is trained in the
    background; the page shows its progress, and plays it when it is ready.
    """
    from builder.commands import build as builds
    from builder.commands import serve as verb

    verb.run(builds.Options(root=project, **options), Terminal(), host, port)


@cli.command()
@click.argument("world")
@family
@click.option("--full", is_flag=True, help="Train anew, from nothing.")
@click.option("--adopt", is_flag=True, help="The edit changed no number: keep the weights.")
@click.option(
    "--budget",
    metavar="NAME",
    help='One of the recipe\'s budgets, such as "gpu"; "" is the recipe as written. Without it: '
    "the one of the weights that are there.",
)
@wait
@click.pass_obj
def train(project: Path, /, world: str, **options: Any) -> None:
    """Record, train, evaluate and export the models of WORLD that are out of date.

    \b
    wmsite train breakout
    wmsite train breakout --full        from new weights, although the weights are up to date
    wmsite train breakout --budget gpu  by the [budget.gpu] of its recipes
    wmsite train breakout --adopt       after a tidied sim or trainer: proved by recording again

    If training is killed, the same command resumes it. Needs the `train` extra.
    """
    from builder.commands import train as verb

    verb.run(project, world, Terminal(), **options)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@wait
@click.pass_obj
def adopt(project: Path, /, folder: Path, wait: bool) -> None:
    """Take in the weights in FOLDER, which another machine has trained by a recipe of this project.

    \b
    wmsite adopt ~/from-the-gpu/weights/breakout/pixels

    They are refused unless recipe, sim, recording and trainer are this project's. They are measured
    and exported here; until then, the project's own weights stay.
    """
    from builder.commands import adopt as verb

    verb.run(project, folder, Terminal(), wait)


@cli.command("eval")
@click.argument("world")
@family
@click.option("--check", "checking", is_flag=True, help="Fail on a regression; keep nothing.")
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
    help="With --check: all comparisons, as JUnit XML (.xml) or JSON (.json).",
)  # fmt: skip
@wait
@click.pass_obj
def evaluate(project: Path, /, world: str, **options: Any) -> None:
    """Measure the models of WORLD against its sim, and print the table.

    \b
    wmsite eval breakout                measure, and store the figures beside the weights
    wmsite eval breakout --check        exit 1 if a figure is worse than its stored interval
    wmsite eval breakout --check --report report.xml
    """
    from builder.commands import eval as verb

    verb.run(project, world, Terminal(), **options)


@cli.command()
@click.argument("world")
@family
@click.option(
    "--only", metavar="NAME[=STRENGTHS]", multiple=True,
    help='These attacks alone, such as "pixels" or "pixels=1,5"; nothing is stored.',
)  # fmt: skip
@click.option("--games", default=32, show_default=True, type=click.IntRange(1, 4096))
@click.option(
    "--steps", "length", default=300, show_default=True, type=click.IntRange(1, 100_000),
    help="Of each game.",
)  # fmt: skip
@click.option(
    "--search", "searched", default=3, show_default=True, type=click.IntRange(0, 1000),
    help="Games of the sim in which actions are searched that break the model.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 10**6))
@wait
@click.pass_obj
def attack(project: Path, /, world: str, **options: Any) -> None:
    """Disturb the models of WORLD while they play alone, and search games that break them.

    \b
    wmsite attack breakout              all attacks; the page shows what they found
    wmsite attack breakout --only pixels=1,5

    What breaks a game: a rule, where the world has a detector; else a frame that is like no
    recorded one; in a shaded world with a sim, a sensor or an end that is not the sim's. Of the
    games that the search finds, what is not needed is taken out. A run that was killed goes on.
    Needs the `train` extra.
    """
    from builder.commands import attack as verb

    verb.run(project, world, Terminal(), **options)


@cli.command()
@site_dir
@base_path
@click.option("--boot/--no-boot", default=True, help="Boot every world in a headless browser.")
@click.pass_obj
def check(project: Path, /, site_dir: Path | None, base: str | None, boot: bool) -> None:
    """Check the built site: links, hosts, sizes, hashes, licences, Pythons, a boot of each world.

    \b
    wmsite check
    wmsite check --no-boot              without a browser
    """
    from builder.commands import check as verb
    from builder.commands.build import base_path as slashed
    from builder.project import own
    from builder.project.worlds import Project

    site = own.resolved(site_dir or project / "site", "--site-dir")
    known = Project(project) if (project / "mkdocs.yml").is_file() else None
    verb.run(site, slashed(base) or "/", boot, known)


cli.add_command(data)


@cli.command()
@click.pass_obj
def info(project: Path, /) -> None:
    """Show worlds, hashes, the cache, the steps that are due with their reasons, and versions."""
    from builder.commands import info as verb

    verb.run(project, Terminal())


@cli.command()
@click.option("--all", "everything", is_flag=True, help="Recordings and runtimes too.")
@site_dir
@click.pass_obj
def clean(project: Path, /, everything: bool, site_dir: Path | None) -> None:
    """Remove the site and files that a build makes again quickly; never sources or weights/."""
    from builder.commands import clean as verb

    verb.run(project, site_dir, everything, Terminal())


def main(arguments: list[str] | None = None) -> None:
    """Run the command: one line on stderr for a user's error, and its documented exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    lifetime.begin()
    if isinstance(sys.stdout, io.TextIOWrapper):  # Not every terminal can show every letter.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = cli.main(arguments, prog_name="wmsite", standalone_mode=False)
    except (UserError, click.ClickException, click.Abort, KeyboardInterrupt, OSError) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        message, code = explain(error)
        click.echo(f"error: {message}", err=True)
    sys.exit(code or 0)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line and the exit code of an error that is not a bug."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        return " ".join(error.format_message().split()), 2
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        said = "the disk is full" if full else error.strerror or str(error)
        mend = "free some space" if full else "mend that"
        return (
            f"{error.filename or 'a file'}: {said}; what was there before is intact. "
            f"Run: {mend}, then the same command again"
        ), 1
    return "interrupted; what was there before is intact", 130


if __name__ == "__main__":
    main()
