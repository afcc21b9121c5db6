"""Commands that are stopped in the midst of their work, alone or with processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import get_args

import pytest

from ctlymph.cli.processes import StartMethod, in_processes, usable_cores
from ctlymph.core.errors import CtlymphError, Remedy

PHANTOM = [sys.executable, "-m", "ctlymph", "phantom", "--spacing", "1.2,1.2,2"]


def doubled(number: int) -> int:
    return 2 * number


def refuses(number: int) -> int:
    raise CtlymphError(f"{number}.csv exists", Remedy.OVERWRITE)


def dies(number: int) -> int:
    os._exit(3)


@pytest.mark.parametrize("start", [name for name in get_args(StartMethod) if name in get_all_start_methods()])
def test_results_come_from_several_processes_however_they_start(start: StartMethod) -> None:
    # In a process of its own, since forking one in which libraries have started threads is not safe.
    program = (
        "from test_processes import doubled, in_processes\n"
        f"if __name__ == '__main__': print(sorted(in_processes(2, doubled, [(1,), (2,), (3,)], {start!r})))"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout == "[2, 4, 6]\n", done.stderr


@pytest.mark.parametrize("start", [name for name in get_args(StartMethod) if name in get_all_start_methods()])
def test_an_error_in_a_process_arrives_with_its_remedy(start: StartMethod) -> None:
    with pytest.raises(CtlymphError) as caught:
        list(in_processes(2, refuses, [(1,), (2,)], start))
    assert caught.value.remedy is Remedy.OVERWRITE


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7


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
