"""``ctlymph demo``, and what the base install must be enough for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ctlymph.cli import demo as command
from ctlymph.core.extras import EXTRAS

PROGRAM = """
import sys
hidden = {hidden!r}
for name in hidden:
    sys.modules[name] = None  # importing it fails, as where it is not installed
import ctlymph.cli.demo as command
command._SPACING_MM = (3.0, 3.0, 4.0)
sys.argv = ["ctlymph", "demo", "-o", {output!r}]
from ctlymph.cli.main import main
main()
"""


def test_the_demo_runs_on_the_base_install_alone(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    program = PROGRAM.format(hidden=list(EXTRAS), output=str(output))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "detections: " in done.stderr + done.stdout
    assert "not for diagnosis" in done.stderr + done.stdout
    assert (output / "result" / "report.html").exists()
    assert (output / "result" / "seg.dcm").exists()
    assert len(list((output / "ct").glob("*.dcm"))) > 50


def test_an_earlier_demo_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Exception, match="notes|holds files|not empty|overwrite"):
        command.demo(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
