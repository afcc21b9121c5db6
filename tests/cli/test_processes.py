"""Commands that are stopped in the midst of their work, alone or with processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctlymph.cli.processes import in_processes
from ctlymph.core.errors import CtlymphError

PHANTOM = [sys.executable, "-m", "ctlymph", "phantom", "--spacing", "1.2,1.2,2"]


def doubled(number: int) -> int:
    return 2 * number


def dies(number: int) -> int:
    os._exit(3)


def test_results_come_from_several_processes() -> None:
    assert sorted(in_processes(2, doubled, [(1,), (2,), (3,)])) == [2, 4, 6]


def test_a_process_that_dies_is_an_error_and_no_traceback() -> None:
    with pytest.raises(CtlymphError, match=r"a process died.*--jobs"):
        list(in_processes(2, dies, [(1,), (2,)]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [[], ["--cases", "3", "--jobs", "2"]])
def test_a_stopped_command_says_so_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, options: list[str]
) -> None:
    command = subprocess.Popen([*PHANTOM, "-o", str(tmp_path), *options], stderr=subprocess.PIPE, text=True)
    wait_for_staging(tmp_path)
    command.send_signal(number)
    command.send_signal(number)  # the impatient
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130
    assert said.splitlines()[-1] == "error: interrupted; nothing half-written was left"
    assert "Traceback" not in said, said
    assert list(tmp_path.iterdir()) == []


def test_processes_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    command = [*PHANTOM, "-o", str(tmp_path), "--cases", "3", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        wait_for_staging(tmp_path)
        process.kill()
        # Its processes hold the other end of this pipe: it ends when they have.
        process.communicate(timeout=60)


def wait_for_staging(folder: Path) -> None:
    """Wait until the command is at work, in a folder that lasts longer than the one that tests OUT."""
    deadline = time.monotonic() + 60
    seen: set[Path] = set()
    while not seen & set(folder.glob(".*.partial-*")):
        seen = set(folder.glob(".*.partial-*"))
        assert time.monotonic() < deadline, "the command did not begin"
        time.sleep(0.05)
