"""Libraries that the base install leaves out."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.extras import EXTRAS, check_installed

HIDDEN = """
import sys
for name in {hidden!r}:
    sys.modules[name] = None  # as if it were not installed
sys.argv = ["ctlymph", *{arguments!r}]
from ctlymph.cli.main import main
main()
"""


def test_an_absent_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctlymph.core.extras.find_spec", lambda name: None)
    with pytest.raises(CtlymphError, match=r"seff2014 needs scikit-learn.*pip install 'ctlymph\[classical\]'"):
        check_installed("sklearn", purpose="seff2014")


def test_installed_libraries_pass() -> None:
    check_installed("numpy", purpose="arithmetic")


def test_every_extra_names_a_module_that_the_developers_have() -> None:
    assert all(find_spec(module) for module in EXTRAS)


def test_the_command_says_in_one_line_what_to_install() -> None:
    program = HIDDEN.format(hidden=["skops", "sklearn"], arguments=["train", "seff2014", ".", "-o", "model"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pip install 'ctlymph[classical]'" in line
