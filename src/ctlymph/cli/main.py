"""The ``ctlymph`` command: its subcommands and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys

import typer

from ctlymph.cli.console import RESEARCH_USE
from ctlymph.cli.convert import convert
from ctlymph.cli.detect import detect
from ctlymph.cli.measure import measure
from ctlymph.cli.phantom import phantom
from ctlymph.errors import CtlymphError

app = typer.Typer(
    help=f"Lymph nodes in CT: found, measured, compared. {RESEARCH_USE}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(detect)
app.command()(measure)
app.command()(convert)
app.command()(phantom)


def main() -> None:
    """Run the command line; exit 0, 1 after a one-line ``error: …``, or 2 after a usage error."""
    try:
        app()
    except CtlymphError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of our output (``| head``) went away; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}; check that it exists, is readable and that the disk has space")
    except KeyboardInterrupt:
        _fail("interrupted; nothing half-written was left", code=130)


def _fail(message: str, code: int = 1) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
