"""The ``ctlymph`` command: its subcommands and the one place where errors become exit codes."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from ctlymph.cli import collection
from ctlymph.cli.benchmark import benchmark
from ctlymph.cli.console import RESEARCH_USE, reason
from ctlymph.cli.convert import convert
from ctlymph.cli.demo import demo
from ctlymph.cli.detect import detect
from ctlymph.cli.evaluate import evaluate
from ctlymph.cli.follow import follow
from ctlymph.cli.measure import measure
from ctlymph.cli.models import models
from ctlymph.cli.phantom import phantom
from ctlymph.cli.processes import Stopped, quiet, stoppable
from ctlymph.cli.realism import realism
from ctlymph.cli.train import train
from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.core.extras import EXTRAS, how_to_install

app = typer.Typer(
    help=f"Detect, measure and follow lymph nodes in CT. {RESEARCH_USE}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from ctlymph.core.version import __version__

        print(f"ctlymph {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options that come before the name of a command."""


app.command()(detect)
app.command()(measure)
app.command()(follow)
app.command()(evaluate)
app.command()(benchmark)
app.command()(train)
app.command()(models)
app.command()(convert)
app.command()(phantom)
app.command()(demo)
app.command()(realism)
app.add_typer(collection.app, name="collection")


def main() -> None:
    """Run the command line; exit 0, 1 after a one-line ``error: …``, 2 after a usage error, or 130 when stopped."""
    _prepare_streams()
    quiet()
    with stoppable():
        try:
            _run()
        except BrokenPipeError:
            # The reader of our output (``| head``) went away; keep Python from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except UsageError as error:
            _fail(reason(error), code=2)
        except (CtlymphError, OSError, MemoryError, UnicodeEncodeError) as error:
            _fail(reason(error))
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            _fail(f"this needs {how_to_install(error.name)}")
        except Stopped:
            _fail("interrupted; nothing half-written was left", code=130)


def _run() -> None:
    try:
        app()
    finally:
        sys.stdout.flush()  # while a reader that went away can still be detected


def _prepare_streams() -> None:
    """Open streams that the caller closed (``2>&-``) on nothing; print ``?`` for letters that the terminal lacks."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(handle, "r" if number == 0 else "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _fail(message: str, code: int = 1) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
