"""Nodes that somebody annotated, measured on their CT."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.io.dicom.references import ObjectHeader, referenced_ct
from ctlymph.io.dicom.seg_writer import Segment, write_segmentation
from ctlymph.workflows import measuring

GRID = Geometry((8, 20, 20), np.zeros(3), np.array([1.0, 1.0, 2.0]))


def test_the_anatomy_is_searched_once_though_the_nodes_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ct_series(Volume(np.full(GRID.shape_zyx, -90, np.int16), GRID), tmp_path / "ct")
    ct = read(tmp_path / "ct")
    layers = [np.zeros(GRID.shape_zyx, np.uint16) for _ in range(2)]
    layers[0][2:5, 4:12, 4:12], layers[1][3:6, 8:16, 8:16] = 1, 2
    segments = [Segment(number, f"node {number}") for number in (1, 2)]
    header = ObjectHeader("nodes", datetime(2020, 1, 1))
    masks = [Masks(layer, ct.geometry) for layer in layers]
    write_segmentation(tmp_path / "seg.dcm", masks, segments, referenced_ct(ct), header)

    searches = []

    def search(volume: Volume) -> None:
        searches.append(volume)
        raise CtlymphError("nothing is in view")

    monkeypatch.setattr(measuring, "find_landmarks", search)
    result = measuring.measure(ct, tmp_path / "seg.dcm")
    assert len(searches) == 1
    assert [node.node for node in result.nodes] == [1, 2]
    assert [node.sizes.volume_mm3 for node in result.nodes] == [3 * 8 * 8 * 2.0] * 2
    assert len(result.layers) == 2
