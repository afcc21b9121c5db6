"""The programs that the exports are for, judging them: run where they can be imported.

They are no dependencies of this package. To run these: an environment with ctlymph, pytest and nibabel, and
``pip install torch monai`` and ``pip install nnunetv2``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctlymph.datasets.case import Collection
from ctlymph.datasets.exports import monai_datalist as for_monai
from ctlymph.datasets.exports.export_job import ExportJob
from ctlymph.datasets.exports.nnunet import write_nnunet
from ctlymph.datasets.exports.prepared import Preparation, PreparedCase
from ctlymph.datasets.folds import make_folds
from ctlymph.datasets.torch_dataset import CaseDataset
from small_collection import SmallCase


@pytest.fixture(scope="module")
def exported(
    small_collection: tuple[Path, dict[str, SmallCase]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ExportJob, list[PreparedCase]]:
    folder = tmp_path_factory.mktemp("exported")
    cases = Collection(small_collection[0]).cases()
    return ExportJob(cases, folder, folds=make_folds(cases, 2)), Preparation(folder).prepare_all(cases)


def test_nnunet_finds_the_dataset_whole(
    exported: tuple[ExportJob, list[PreparedCase]], capfd: pytest.CaptureFixture[str]
) -> None:
    integrity = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")
    integrity.verify_dataset_integrity(str(write_nnunet(*exported)), 1)
    printed = capfd.readouterr().out
    assert "verify_dataset_integrity Done" in printed
    assert "Error" not in printed
    assert "mismatch" not in printed


def test_monai_trains_on_the_list_of_labels(exported: tuple[ExportJob, list[PreparedCase]]) -> None:
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai")
    folder = for_monai.write_monai(*exported)
    items = monai.data.load_decathlon_datalist(folder / for_monai.LIST, True, "training")
    steps = monai.transforms
    load = steps.Compose(
        [
            steps.LoadImaged(["image", "label"], ensure_channel_first=True),
            steps.Orientationd(["image", "label"], "RAS"),
            steps.RandCropByPosNegLabeld(["image", "label"], "label", (16, 16, 16), num_samples=1),
        ]
    )
    loader = monai.data.DataLoader(monai.data.Dataset(items, load), batch_size=2)
    network = monai.networks.nets.UNet(3, 1, 2, (4, 8), (2,))
    batches = list(loader)
    assert sum(len(batch["image"]) for batch in batches) == len(items)
    for batch in batches:
        loss = monai.losses.DiceCELoss(to_onehot_y=True, softmax=True)(network(batch["image"]), batch["label"])
        assert torch.isfinite(loss)
    assert sorted({item["fold"] for item in items}) == [0, 1]


def test_monai_puts_boxes_and_points_on_the_nodes(
    exported: tuple[ExportJob, list[PreparedCase]], small_collection: tuple[Path, dict[str, SmallCase]]
) -> None:
    pytest.importorskip("torch")
    monai = pytest.importorskip("monai")
    detection = pytest.importorskip("monai.apps.detection.transforms.dictionary")
    folder = for_monai.write_monai(*exported)
    steps = monai.transforms
    image = [steps.LoadImaged(["image"], ensure_channel_first=True), steps.Orientationd(["image"], "RAS")]
    to_boxes = steps.Compose(
        [
            *image,
            steps.EnsureTyped(["box"], dtype=np.float32),
            detection.ConvertBoxToStandardModed(["box"], mode="cccwhd"),
            detection.AffineBoxToImageCoordinated(["box"], "image", affine_lps_to_ras=False),
        ]
    )
    to_points = steps.Compose(
        [
            *image,
            steps.Lambdad(["point"], lambda points: np.array(points, dtype=np.float32)[None]),
            steps.ApplyTransformToPointsd(["point"], "image", invert_affine=True, affine_lps_to_ras=False),
        ]
    )
    lists = [
        monai.data.load_decathlon_datalist(folder / name, False, "training")
        for name in (for_monai.BOXES, for_monai.POINTS)
    ]
    for with_boxes, with_points in zip(*lists, strict=True):
        case = small_collection[1][with_boxes["case"]]
        # In RAS the array runs the other way along x and y, as MONAI's Orientation has turned it.
        expected = boxes_of(case.masks.labels.transpose(2, 1, 0)[::-1, ::-1])
        found = np.asarray(to_boxes(with_boxes)["box"])
        # An index is a voxel's centre, so that the voxel begins half a voxel before it.
        np.testing.assert_allclose(found, expected - 0.5, atol=1e-2)
        i, j, k = np.array([node.index_ijk for node in case.nodes]).T
        columns, rows, _ = case.volume.geometry.shape_ijk
        points = np.asarray(to_points(with_points)["point"])[0]
        np.testing.assert_allclose(points, np.stack([columns - 1 - i, rows - 1 - j, k], axis=1), atol=1e-2)


def boxes_of(labels: Any) -> Any:
    """Give first and last + 1 index along each axis of each label."""
    found = [np.argwhere(labels == label) for label in range(1, labels.max() + 1)]
    return np.array([[*voxels.min(axis=0), *(voxels.max(axis=0) + 1)] for voxels in found], dtype=float)


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_loads_cases_in_workers(small_collection: tuple[Path, dict[str, SmallCase]], workers: int) -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    cases = Collection(small_collection[0]).cases()
    context = "spawn" if workers and sys.platform != "win32" else None
    loader = torch_data.DataLoader(
        CaseDataset(cases), batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    loaded = list(loader)
    assert [item["case"] for item in loaded] == [case.name for case in cases]
    for item in loaded:
        small = small_collection[1][item["case"]]
        assert np.array_equal(item["image"].numpy(), small.volume.hu[None])
        assert np.array_equal(item["label"].numpy(), small.masks.labels[None])
        assert len(item["points_mm"]) == len(small.nodes)
