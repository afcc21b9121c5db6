from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ctlymph.training.cache_keys import _imported, code_of, digest_of


def test_values_that_differ_have_other_names() -> None:
    assert digest_of("a", 1, ["b"]) == digest_of("a", 1, ["b"])
    assert len({digest_of("a", 1), digest_of("a", "1"), digest_of("a1"), digest_of(1, "a")}) == 4


def test_imports_are_found_wherever_they_stand() -> None:
    source = b"""
import numpy
from ctlymph.core import nodes
from ctlymph import detect
from ctlymph.detectors import liu2014
import ctlymph.core.volume
def f():
    from ctlymph.io.images import read_image
"""
    assert sorted(_imported(source)) == [
        "ctlymph",
        "ctlymph.detectors.liu2014",
        "ctlymph.io.images",
        "ctlymph.core.nodes",
        "ctlymph.core.volume",
    ]


def test_code_is_another_when_it_or_what_it_imports_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number, source in enumerate(("x = 1\n", "x = 2\n", "from ctlymph.core.nodes import Mark\nx = 2\n")):
        (tmp_path / f"stage_code_{number}.py").write_text(source, encoding="utf-8")
        found.append(code_of(f"stage_code_{number}"))
        sys.modules.pop(f"stage_code_{number}")
    assert len(set(found)) == 3
    assert code_of("ctlymph.detectors.cherry2014") != code_of("ctlymph.detectors.liu2014")
