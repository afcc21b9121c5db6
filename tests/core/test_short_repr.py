"""What Python prints of an object is one short line, without arrays and without data of patients."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import ctlymph
from ctlymph.core.nodes import Diameter, LymphNode, NodeRads, NodeRadsFeature, Sizes
from ctlymph.core.regions import Region
from ctlymph.core.result import Result
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.dicom.files import DiskFile
from ctlymph.io.dicom.header import read_header
from ctlymph.io.dicom.references import referenced_ct
from ctlymph.io.dicom.series import list_series
from ctlymph.measurement.axes import measure_masks

GRID = Geometry((5, 40, 60), np.array([-20.0, 10.0, 0.125]), np.array([0.75, 0.75, 2.0]))


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("ct")
    header = CTHeader("SECRET-7", "SMITH^JANE", "19500102", "F", "073Y", "20240301", accession_number="ACC99")
    write_ct_series(Volume(np.full(GRID.shape_zyx, 40, np.int16), GRID), folder, header)
    return read(folder)


@pytest.fixture(scope="module")
def result(ct: Volume) -> Result:
    labels = np.zeros(GRID.shape_zyx, np.uint16)
    labels[1:4, 10:20, 10:22], labels[1:4, 25:30, 40:45] = 1, 2
    masks = Masks(labels, ct.geometry)
    nodes = [replace(node, region="mediastinum", station="4R", score=0.876) for node in measure_masks(ct, masks)]
    return Result(ct, masks, nodes, model="blobs")


def test_volumes_and_geometries_say_their_size_and_place() -> None:
    assert repr(GRID) == "Geometry(60 × 40 × 5 voxels of 0.75 × 0.75 × 2 mm, LPS, origin -20, 10, 0.12 mm)"
    volume = Volume(np.zeros(GRID.shape_zyx, np.int16), GRID, "SMITH", ("a", "b"), {"PatientName": "SMITH"})
    assert repr(volume) == "Volume(60 × 40 × 5 voxels of 0.75 × 0.75 × 2 mm, LPS, 2 notes)"
    masks = Masks(np.full(GRID.shape_zyx, 7, np.uint16), GRID)
    assert repr(masks) == "Masks(60 × 40 × 5 voxels of 0.75 × 0.75 × 2 mm, LPS, largest label 7)"
    region = Region("abdomen", np.ones(GRID.shape_zyx, bool), GRID)
    assert repr(region) == "Region(abdomen, 0.013 litres, grid of 60 × 40 × 5 voxels of 0.75 × 0.75 × 2 mm, LPS)"


def test_nodes_say_where_they_are_and_how_large() -> None:
    long, short = Diameter((0, 0, 0), (9, 0, 0), 9.04), Diameter((0, 0, 0), (5, 0, 0), 5.0)
    sizes = Sizes(long, short, long, short, 123.4, 41.2, (1.0, 2.0, 3.0))
    assert repr(long) == "Diameter(9.0 mm)"
    assert repr(sizes) == "Sizes(short axis 5.0 mm, long axis 9.0 mm, 123 mm³, 41 HU)"
    node = LymphNode(3, (1.0, -2.0, 3.25), (0, 0, 0), sizes, 0.5, "mediastinum", "4R")
    assert (
        repr(node)
        == "LymphNode(3, at 1.0, -2.0, 3.2 mm, short axis 5.0 mm, long axis 9.0 mm, mediastinum, 4R, score 0.50)"
    )
    judged = NodeRadsFeature("normal", 0, "short axis 5.0 mm, below 10")
    rads = NodeRads(1, 2, judged, judged, judged, judged, "normal; points: homogeneous 0")
    assert repr(rads) == "NodeRads(1–2; normal; points: homogeneous 0)"


def test_no_object_shows_the_patient(ct: Volume, result: Result) -> None:
    folder = Path(ct.attributes["path"])
    header = read_header(DiskFile(sorted(folder.glob("*.dcm"))[0]))
    assert header is not None
    assert (header.patient_id, ct.attributes["PatientName"]) == ("SECRET-7", "SMITH^JANE")
    objects = [ct, result, result.masks, *result.nodes, header, referenced_ct(ct), *list_series(folder)]
    for each in (*objects, referenced_ct(ct).header, result.nodes[0].sizes):
        text = repr(each)
        assert "\n" not in text
        assert len(text) < 700, text
        for secret in ("SECRET", "SMITH", "19500102", "073Y", "20240301", "ACC99"):
            assert secret not in text


def test_long_texts_sequences_and_arrays_become_short() -> None:
    @dataclass
    class Example:
        text: str
        number: float
        few: tuple[int, ...]
        many: list[int]
        mapping: dict[str, int]
        array: object
        path: Path
        nothing: None = None

        __repr__ = short_repr

    example = Example(
        "a\n" * 99, 1 / 3, (1, 2), [1] * 99, {"a": 1}, np.zeros((2, 3), np.int16), Path("/home/SMITH/x.csv")
    )
    assert repr(example) == (
        f"Example(text='{'a ' * 19}a…', number=0.333333, few=(1, 2), many=<99 values>, mapping=<1 value>,"
        " array=<int16 2 × 3>, path='x.csv', nothing=None)"
    )


def classes() -> Iterator[type]:
    """Public dataclasses of the package that can be imported here."""
    for module in pkgutil.walk_packages(ctlymph.__path__, "ctlymph."):
        if module.name.endswith("__main__"):
            continue
        try:
            found = vars(importlib.import_module(module.name)).values()
        except ModuleNotFoundError:  # a module of an extra that is not installed
            continue
        for each in found:
            if isinstance(each, type) and each.__module__ == module.name and is_dataclass(each):
                yield each


def test_no_public_class_prints_its_arrays() -> None:
    arrays = ("NDArray", "Mask", "Array", "Tensor", "ndarray")
    bare = [
        f"{each.__module__}.{each.__qualname__}"
        for each in classes()
        if not each.__name__.startswith("_")
        and hasattr(each.__repr__, "__wrapped__")  # as the decorator writes it
        and any(field.repr and any(word in str(field.type) for word in arrays) for field in fields(each))
    ]
    assert bare == []
