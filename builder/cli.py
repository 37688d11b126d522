"""The `wmsite` command: options, help and errors; each verb is a module of `builder.commands`."""

from __future__ import annotations

import errno
import sys
import traceback
from pathlib import Path
from typing import Any

import click

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


@cli.command()
@click.option("--only", metavar="WORLD", help="Check and train this world alone.")
@click.option(
    "--train",
    type=click.Choice(["auto", "never", "full"]),
    default="auto",
    show_default=True,
    help="auto: train what is out of date, from the nearest weights; never: take what is there; "
    "full: train anew.",
)
@click.option(
    "--site-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the site goes (default: site).",
)
@click.option("--base", metavar="/PATH/", help="The path that the site will be served under.")
@click.option("--strict", is_flag=True, help="Warnings fail the build.")
@click.option("--wait", is_flag=True, help="Wait for another build to end instead of failing.")
@click.pass_obj
def build(project: Path, /, **options: Any) -> None:
    """Build the site: redo what changed, swap it in whole, show what was made.

    \b
    wmsite build --base /repo/          for a project site such as GitHub Pages
    wmsite build --only breakout        leave other worlds as they are
    wmsite build --train never          never train; worlds without weights play their sim
    """
    from builder.commands import build as verb

    verb.run(verb.Options(root=project, **options), Terminal())


def main(arguments: list[str] | None = None) -> None:
    """Run the command: one line on stderr for a user's error, and the documented exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    code = 1
    try:
        code = cli.main(arguments, prog_name="wmsite", standalone_mode=False) or 0
    except UserError as error:
        message, code = str(error), error.exit_code
    except click.ClickException as error:
        message, code = error.format_message(), 2
    except (KeyboardInterrupt, click.Abort):
        message, code = "interrupted; what was there before is intact", 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = (
            f"disk full while writing {error.filename or 'a file'}; what was there before is "
            "intact. Run: free some space, then the same command again"
        )
    else:
        sys.exit(code)
    if debug:
        traceback.print_exc()
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
