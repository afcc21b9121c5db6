"""Programs that run as if libraries were not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_PROGRAM = """
import sys
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
hidden = {hidden!r}
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else find_spec(name, *rest)
{before}
sys.argv = ["ctlymph", *{arguments!r}]
from ctlymph.cli.main import main
main()
"""


def ctlymph_without(
    hidden: Iterable[str], arguments: Sequence[str | Path], before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in which these modules cannot be imported."""
    program = _PROGRAM.format(hidden=set(hidden), arguments=[str(each) for each in arguments], before=before)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
