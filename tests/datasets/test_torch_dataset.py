from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.datasets.torch_dataset import CaseDataset, Item
from small_collection import SmallCase, write_small_collection


def names_only(item: Item) -> str:
    return str(item["case"])


def test_an_item_is_the_case_in_arrays(small_collection: tuple[Path, dict[str, SmallCase]]) -> None:
    folder, made = small_collection
    dataset = CaseDataset(Collection(folder).cases())
    assert len(dataset) == len(made)
    for index in range(len(dataset)):
        item = dataset[index]
        small = made[item["case"]]
        np.testing.assert_array_equal(item["image"], small.volume.hu[None])
        np.testing.assert_array_equal(item["label"], small.masks.labels[None])
        assert item["image"].dtype == np.float32
        points = [item["affine"] @ [*node.index_ijk, 1] for node in small.nodes]
        np.testing.assert_allclose(item["points_mm"], np.array(points)[:, :3], atol=1e-3)
        np.testing.assert_array_equal(item["spacing_mm"], small.volume.geometry.spacing_mm)
        in_abdomen = item["region"] == "abdomen"
        assert np.isfinite(item["sizes_mm"][:, 1]).all() == in_abdomen


def test_a_size_that_is_not_known_is_nan(small_collection: tuple[Path, dict[str, SmallCase]]) -> None:
    dataset = CaseDataset(Collection(small_collection[0]).cases(names=["MED_LYMPH_010"]), masks=False)
    item = dataset[0]
    assert np.isnan(item["sizes_mm"][0]).all()
    assert np.isfinite(item["sizes_mm"][1:, 0]).all()
    assert "label" not in item


def test_a_dataset_can_be_pickled_with_its_transform(small_collection: tuple[Path, dict[str, SmallCase]]) -> None:
    dataset = pickle.loads(pickle.dumps(CaseDataset(Collection(small_collection[0]).cases(), names_only)))
    assert [dataset[index] for index in range(len(dataset))] == [case.name for case in dataset.cases]


def test_an_index_beyond_the_last_case_ends_iteration(small_collection: tuple[Path, dict[str, SmallCase]]) -> None:
    dataset = CaseDataset(Collection(small_collection[0]).cases(), names_only)
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_absent_masks_are_an_error_unless_they_are_not_wanted(tmp_path: Path) -> None:
    write_small_collection(tmp_path, ["ABD_LYMPH_003"], parts=["ct", "annotations"])
    cases = Collection(tmp_path).cases()
    assert len(CaseDataset(cases, masks=False)[0]["points_mm"]) == 4
    with pytest.raises(CtlymphError, match="has no masks here"):
        CaseDataset(cases)[0]
