from __future__ import annotations

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks
from ctlymph.measurement.masks import on_grid, pieces, split

GRID = Geometry((6, 7, 8), np.array([1.0, 2.0, 3.0]), np.array([0.7, 0.8, 2.5]))


def some_masks() -> Masks:
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint16)
    labels[0:2, 0:2, 0:2] = 9
    labels[4:6, 4:6, 4:6] = 9
    labels[2, 2, 2] = 9
    labels[5, 0, 0] = 3
    return Masks(labels, GRID)


def test_a_mask_whose_axes_run_otherwise_is_turned_to_the_cts() -> None:
    turned = on_grid(some_masks().reorient("SRA"), GRID)
    assert np.array_equal(turned.labels, some_masks().labels)
    assert turned.geometry is GRID


def test_rounding_in_the_header_is_forgiven_but_not_a_shift() -> None:
    labels = some_masks().labels
    on_grid(Masks(labels, Geometry(GRID.shape_zyx, GRID.origin_mm + 0.02, GRID.spacing_mm * 1.0001)), GRID)
    with pytest.raises(CtlymphError, match=r"up to 2\.50 mm away"):
        on_grid(Masks(labels, Geometry(GRID.shape_zyx, GRID.origin_mm + np.array([0, 0, 2.5]), GRID.spacing_mm)), GRID)


def test_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(CtlymphError, match="8 × 7 × 5 voxels and the CT 8 × 7 × 6"):
        on_grid(Masks(some_masks().labels[:5], GRID.crop([0, 0, 0], [5, 7, 8])), GRID)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    assert pieces(some_masks()) == [1, 2]


def test_split_gives_each_piece_a_label_and_loses_no_voxel() -> None:
    parts = split(some_masks())
    assert np.array_equal(parts.labels > 0, some_masks().labels > 0)
    assert sorted(np.unique(parts.labels, return_counts=True)[1][1:].tolist()) == [1, 8, 9]
    assert parts.labels[5, 0, 0] == 1
    assert parts.labels[0, 0, 0] == parts.labels[2, 2, 2] != parts.labels[5, 5, 5]
