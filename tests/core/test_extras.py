"""Libraries that the base install leaves out."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from absent import ctlymph_without
from ctlymph.core.errors import CtlymphError
from ctlymph.core.extras import EXTRAS, check_installed


def test_an_absent_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctlymph.core.extras.find_spec", lambda name: None)
    with pytest.raises(CtlymphError, match=r"seff2014 needs scikit-learn.*pip install 'ctlymph\[classical\]'"):
        check_installed("sklearn", purpose="seff2014")


def test_installed_libraries_pass() -> None:
    check_installed("numpy", purpose="arithmetic")


def test_every_extra_names_a_module_that_the_developers_have() -> None:
    assert all(find_spec(module) for module in EXTRAS)


def test_the_command_says_in_one_line_what_to_install() -> None:
    done = ctlymph_without(["skops", "sklearn"], ["train", "seff2014", ".", "-o", "model"])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pip install 'ctlymph[classical]'" in line
