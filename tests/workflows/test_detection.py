"""The whole way from a CT to measured nodes."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import ctlymph
from ctlymph.cli.detect import detect as detect_command
from ctlymph.core.errors import CtlymphError
from ctlymph.core.regions import REGIONS
from ctlymph.core.result import Result
from ctlymph.detectors.model_store import CARD, INSTALLED
from ctlymph.detectors.registry import DEFAULT
from ctlymph.phantom.scan.patient import Phantom
from ctlymph.workflows.detection import DetectOptions, detector, find_nodes

REAL = [
    "ct/ACRIN-FLT-Breast_001_lower_chest_to_pelvis.nii.gz",
    "ct/CMB-CRC_MSB-01068_chest.nii.gz",
    "ct/Lung_Dx-A0001_chest.nii.gz",
    "ct/RIDER-Pilot_0117_lower_chest.nii.gz",
    "ct/TotalSegmentator_example_abdomen_pelvis_3mm.nii.gz",
]


@pytest.fixture(scope="module")
def result(phantom: Phantom) -> Result:
    return find_nodes(phantom.volume, DetectOptions())


def assert_consistent(result: Result) -> None:
    """What must hold of every result, whatever was found."""
    scores = [node.score for node in result.nodes]
    assert scores == sorted(scores, reverse=True)
    assert [node.node for node in result.nodes] == list(range(1, len(result.nodes) + 1))
    assert np.unique(result.masks.labels[result.masks.labels > 0]).tolist() == [node.node for node in result.nodes]
    assert result.masks.geometry.matches(result.volume.geometry)
    for node in result.nodes:
        sizes = node.sizes
        assert node.score is not None
        assert result.thresholds[node.region] <= node.score <= 1
        assert 0 < sizes.short_axis.length_mm <= sizes.long_axis.length_mm + 1e-9
        assert sizes.volume_mm3 == pytest.approx(
            (result.masks.labels == node.node).sum() * result.volume.geometry.voxel_mm3
        )
        assert node.index_ijk == result.volume.geometry.nearest_voxel(node.point_mm)
        assert node.region in result.regions


def test_a_result_on_the_phantom_is_consistent(result: Result) -> None:
    assert_consistent(result)


def test_the_phantoms_enlarged_nodes_are_found_and_their_sizes_are_near_the_truth(
    phantom: Phantom, result: Result
) -> None:
    enlarged = [node for node in phantom.nodes if node.short_axis_mm >= 10]
    errors = []
    for truth in enlarged:
        near = [n for n in result.nodes if np.linalg.norm(np.subtract(n.point_mm, truth.centre_mm)) < 8]
        if near:
            errors.append(near[0].sizes.short_axis.length_mm - truth.short_axis_mm)
    assert len(errors) >= 0.6 * len(enlarged)
    assert abs(np.median(errors)) < 2.0


def test_the_public_call_gives_the_same_nodes_and_is_repeatable(phantom: Phantom, result: Result) -> None:
    assert list(ctlymph.detect(phantom.volume)) == result.nodes


def test_a_higher_threshold_gives_the_head_of_the_same_list(phantom: Phantom, result: Result) -> None:
    scores = [node.score or 0.0 for node in result.nodes]
    fewer = ctlymph.detect(phantom.volume, threshold=(scores[0] + scores[-1]) / 2)
    assert 0 < len(fewer) < len(result.nodes)
    assert [node.point_mm for node in fewer] == [node.point_mm for node in result.nodes[: len(fewer)]]


def test_nodes_stay_where_they_are_in_the_patient_when_the_array_is_turned(phantom: Phantom, result: Result) -> None:
    turned = find_nodes(phantom.volume.reorient("RAI"), DetectOptions())
    assert_consistent(turned)
    best = result.nodes[0]
    apart = [np.linalg.norm(np.subtract(node.point_mm, best.point_mm)) for node in turned.nodes]
    same = turned.nodes[int(np.argmin(apart))]
    assert min(apart) < 2
    assert same.sizes.long_axis.length_mm == pytest.approx(best.sizes.long_axis.length_mm, abs=1.5)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_score_is_refused(phantom: Phantom, threshold: float) -> None:
    with pytest.raises(CtlymphError, match="from 0 to 1"):
        ctlymph.detect(phantom.volume, threshold=threshold)


def test_the_package_comes_with_a_model_that_says_what_it_learned_from() -> None:
    chosen = detector(DEFAULT)
    assert set(chosen.systems) == set(REGIONS)
    assert "synthetic lymph nodes" in chosen.trained_on
    for region, model in chosen.models.items():
        assert model.card.synthetic
        assert "TCIA" in model.card.licence
        assert model.card.regions[region].metrics is not None
    sizes = [path.stat().st_size for path in (INSTALLED / DEFAULT).iterdir()]
    assert 0 < max(sizes) <= 20e6
    assert inspect.signature(detect_command).parameters["model"].default == DEFAULT


def test_models_of_single_regions_are_used_together(tmp_path: Path) -> None:
    card = json.loads((INSTALLED / DEFAULT / CARD).read_text())
    for region in REGIONS:
        shutil.copytree(INSTALLED / DEFAULT, tmp_path / region)
        (tmp_path / region / CARD).write_text(
            json.dumps({**card, "threshold": 0.25, "regions": {region: card["regions"][region]}})
        )
    chosen = detector(str(tmp_path))
    assert set(chosen.systems) == set(REGIONS)
    assert chosen.thresholds == dict.fromkeys(sorted(REGIONS), 0.25)
    shutil.copytree(tmp_path / "abdomen", tmp_path / "again")
    with pytest.raises(CtlymphError, match="holds several models for the abdomen"):
        detector(str(tmp_path))


def test_an_unknown_model_is_refused_and_the_known_ones_named(phantom: Phantom) -> None:
    with pytest.raises(CtlymphError, match="blobs"):
        ctlymph.detect(phantom.volume, model="unicorn")


def test_a_ct_of_one_slice_is_looked_at_as_if_it_went_on(phantom: Phantom) -> None:
    grid = phantom.volume.geometry
    node = max((node for node in phantom.nodes if node.region == "mediastinum"), key=lambda node: node.short_axis_mm)
    height = grid.nearest_voxel(node.centre_mm)[2]
    one = phantom.volume.crop((height, 0, 0), (1, *phantom.volume.hu.shape[1:]))
    result = find_nodes(one, DetectOptions(model="blobs", threshold=0.1))
    assert any("repeated above and below" in note for note in result.notes)
    assert all(found.index_ijk[2] == 0 for found in result.nodes)
    assert all(one.geometry.contains(found.point_mm) for found in result.nodes)
    middle = one.geometry.index_to_mm([*grid.mm_to_index(node.centre_mm)[:2], 0])
    assert min(np.linalg.norm(np.subtract(found.point_mm, middle)) for found in result.nodes) < 10


def test_the_real_node_of_a_real_slice_is_among_the_marks(shared_data: Path) -> None:
    slice_ = ctlymph.read(shared_data / "nih" / "slices" / "1-416.dcm")
    nodes = ctlymph.detect(slice_, threshold=0.0)
    node_mm = (36.9, 124.9, -317.6)  # middle of the collection's mask ABD_LYMPH_001_lesion_04 on this slice
    assert min(np.linalg.norm(np.subtract(node.point_mm, node_mm)) for node in nodes) < 5


@pytest.mark.parametrize("name", REAL)
def test_real_cts_give_consistent_results(shared_data: Path, name: str) -> None:
    result = find_nodes(ctlymph.read(shared_data / name), DetectOptions())
    assert_consistent(result)
    assert len(result.nodes) <= 60
    assert 1 <= len(find_nodes(result.volume, DetectOptions(model="blobs")).nodes) <= 60
