"""What ``import ctlymph`` offers: names that exist, load late, and belong together."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ctlymph
from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Masks, Volume
from followed_patient import Ball, scan

ROOT = Path(__file__).parents[1]
PACKAGES = [
    "ctlymph",
    *(each.name for each in pkgutil.walk_packages(ctlymph.__path__, "ctlymph.") if each.ispkg),
]


def textured(balls: Mapping[int, Ball]) -> tuple[Volume, Masks]:
    """A scan with waves of 50 HU in it, by which two of them can be registered."""
    ct, masks = scan(balls, seed=1)
    waves = [50 * np.sin(np.arange(length) / 4) for length in ct.hu.shape]
    hu = ct.hu + waves[0][:, None, None] + waves[1][:, None] + waves[2]
    return replace(ct, hu=hu.astype(np.int16)), masks


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_that_a_package_exports_exists(name: str) -> None:
    package = importlib.import_module(name)
    for exported in getattr(package, "__all__", ()):
        assert exported in dir(package)
        try:
            assert getattr(package, exported) is not None, exported
        except ModuleNotFoundError as error:
            if error.name != "torch":  # which the extra for training brings
                raise


def test_the_public_names_are_those_of_the_guide() -> None:
    tasks = {"read", "detect", "measure", "follow", "evaluate", "write_results"}
    classes = {"Volume", "Masks", "Geometry", "LymphNode", "Result", "Collection", "CtlymphError"}
    assert set(ctlymph.__all__) == tasks | classes | {"__version__"}
    assert not [name for name in sorted(tasks | classes) if not (getattr(ctlymph, name).__doc__ or "").strip()]


def test_importing_the_package_loads_no_heavy_library() -> None:
    program = "import ctlymph, sys; print([name for name in ('numpy', 'SimpleITK', 'torch') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_result_is_the_sequence_of_its_nodes_and_has_their_masks() -> None:
    ct, masks = scan({1: ((0, 0, 0), 20), 4: ((30, 10, 10), 12)}, seed=1)
    result = ctlymph.measure(ct, masks)
    assert [node.node for node in result] == [1, 4]
    assert len(result) == 2
    assert result[0] is result.nodes[0]
    assert list(result[:1]) == [result[0]]
    assert result[-1] in result
    assert np.array_equal(result.masks.labels, masks.labels)
    assert result.study_date is None


def test_masks_on_another_grid_are_refused() -> None:
    ct, _ = scan({}, seed=1)
    _, masks = scan({1: ((0, 0, 0), 20)}, seed=1, shape_zyx=(20, 110, 120))
    with pytest.raises(CtlymphError, match="the array of labels: it has 120 × 110 × 20 voxels"):
        ctlymph.measure(ct, masks)


def test_results_are_followed_in_one_call() -> None:
    baseline = ctlymph.measure(*textured({1: ((0, 0, 0), 24), 2: ((30, 10, 10), 12)}))
    later = ctlymph.measure(*textured({3: ((0, 0, 0), 14)}))
    course = ctlymph.follow([baseline, later])
    assert course.course.parents == {(1, 3): ((0, 1),)}
    assert [each.category for each in course.response.assessments] == [None, "PR"]


def test_one_scan_is_no_course() -> None:
    with pytest.raises(CtlymphError, match="give the baseline and at least one follow-up"):
        ctlymph.follow([ctlymph.measure(*scan({1: ((0, 0, 0), 24)}, seed=1))])


def test_results_are_written_all_or_none(tmp_path: Path) -> None:
    result = ctlymph.measure(*scan({1: ((0, 0, 0), 24)}, seed=1))
    assert ctlymph.write_results(tmp_path / "out", result, ("csv", "json")) == {}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"nodes.csv", "nodes.json"}
    with pytest.raises(CtlymphError, match="overwrite=True"):
        ctlymph.write_results(tmp_path / "out", result, ("csv",))
    with pytest.raises(KeyError):
        ctlymph.write_results(tmp_path / "none", result, ("csv", "unicorn"))
    assert not (tmp_path / "none").exists()
    ctlymph.write_results(str(tmp_path / "out"), result, ("csv",), overwrite=True)


def test_the_version_is_the_installed_one() -> None:
    assert ctlymph.__version__.split(".")[:2] >= ["0", "1"]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
