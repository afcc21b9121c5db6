"""What all commands have in common: the version, usage errors, and systems without POSIX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ctlymph
from ctlymph.cli.main import main
from ctlymph.io.images import write_image
from ctlymph.io.node_tables import read_nodes_csv
from ctlymph.phantom.scan.patient import Phantom

WITHOUT_POSIX = """
import os, signal, sys
for module, names in (
    (signal, ("pthread_sigmask", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "setitimer", "alarm")),
    (os, ("sched_getaffinity", "fork", "forkpty", "getuid", "geteuid", "mkfifo", "killpg", "setsid")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
"""
"""Run by Python as it starts, here and in processes that the command starts."""


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ctlymph", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"ctlymph {ctlymph.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["unicorn"],
        ["detect"],
        ["detect", "CT", "-o", "OUT", "--model", "unicorn"],
        ["detect", "CT", "-o", "OUT", "--threshold", "nan"],
        ["detect", "CT", "-o", "OUT", "--formats", ""],
        ["detect", "CT", "-o", "OUT", "--region", "neck"],
        ["measure", "CT", "MASK", "-o", "OUT", "--formats", "docx"],
        ["follow", "CT", "CT", "-o", "OUT", "--nodes", "MASK"],
        ["convert", "CT"],
        ["convert", "CT", "-o", "OUT.docx"],
        ["convert", "CT", "-o", "OUT.nii", "--spacing", "0"],
        ["train", "unicorn", "DATA", "-o", "OUT"],
        ["train", "blobs", "DATA", "-o", "OUT", "--region", "neck"],
        ["collection", "list", "--region", "neck"],
        ["collection", "list", "--age", "old"],
        ["collection", "list", "--sql", "SELECT 1", "--sex", "F"],
        ["collection", "verify", "DATA", "--what", "unicorn"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_usage_errors_exit_with_2_before_anything_is_read(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").mkdir()
    assert exit_code(monkeypatch, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"DATA"}


def test_nodes_are_detected_where_the_system_is_no_posix(phantom: Phantom, tmp_path: Path) -> None:
    coarse = phantom.volume.resample(3.0)
    for name in ("one.nii.gz", "two.nii.gz"):
        write_image(coarse, tmp_path / name)
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(WITHOUT_POSIX)
    path = os.pathsep.join([str(tmp_path / "start"), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ("--model", "blobs", "--threshold", "0.05", "--formats", "csv,json,masks", "--jobs", "2")
    command = [sys.executable, "-m", "ctlymph", "detect", "one.nii.gz", "two.nii.gz", "-o", "out", *options]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = read_nodes_csv(tmp_path / "out" / "nodes.csv")
    assert {row.case for row in rows} == {"one", "two"}
