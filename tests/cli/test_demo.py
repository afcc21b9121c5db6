"""``ctlymph demo``, and what the base install must be enough for."""

from __future__ import annotations

from pathlib import Path

import pytest

from absent import ctlymph_without
from ctlymph.cli import demo as command
from ctlymph.core.errors import CtlymphError
from ctlymph.core.extras import EXTRAS

COARSE = "import ctlymph.cli.demo; ctlymph.cli.demo._SPACING_MM = (3.0, 3.0, 4.0)"


def test_the_demo_runs_on_the_base_install_alone(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    done = ctlymph_without(EXTRAS, ["demo", "-o", output], COARSE)
    assert done.returncode == 0, done.stderr
    assert "detections: " in done.stderr + done.stdout
    assert "not for diagnosis" in done.stderr + done.stdout
    assert (output / "result" / "report.html").exists()
    assert (output / "result" / "seg.dcm").exists()
    assert len(list((output / "ct").glob("*.dcm"))) > 50


def test_an_earlier_demo_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CtlymphError):
        command.demo(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
