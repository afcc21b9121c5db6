"""Fixtures for all tests."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from scipy.spatial.transform import Rotation

from ctlymph.cli.processes import THREADS
from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.io.images import write_image
from ctlymph.measurement.axes import measure_masks
from ctlymph.phantom.collection.backgrounds import inserted_patients, read_background
from ctlymph.phantom.collection.collection_files import finish
from ctlymph.phantom.collection.patients import PhantomOptions
from ctlymph.phantom.scan.patient import Phantom, PhantomSpec, make_patient

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes that each take all cores would wait for one another
    for name in THREADS:
        os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real CTs and annotation files, which cannot be shipped; absent on most machines."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real CTs are not on this machine ({folder.name} folder beside the checkout is absent)")
    return folder


@pytest.fixture(scope="session")
def oblique_volume() -> Volume:
    """A small volume of noise whose axes are turned about all three, unevenly spaced and not axial in storage."""
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("zyx", (8, -12, 17), degrees=True).as_matrix()
    direction = turn @ np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    geometry = Geometry((6, 7, 8), np.array([-101.25, 33.5, 612.75]), np.array([0.7, 1.1, 2.5]), direction)
    return Volume(rng.integers(-1000, 1500, geometry.shape_zyx).astype(np.int16), geometry, "oblique")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder for all tests of a run: the first process of pytest-xdist that wants it makes it."""
    run = factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / name
    with FileLock(folder.with_name(f"{name}.lock")):
        if not folder.is_dir():
            unfinished = folder.with_name(f"{name}.unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    """A synthetic torso on a coarse grid, with its true nodes.

    This patient's nodes are such as the plain detector finds; how hard most are, benchmarks/difficulty.py measures.
    """

    def make(folder: Path) -> None:
        made = make_patient(PhantomSpec(seed=12, spacing_mm=(1.6, 1.6, 3.0)))
        (folder / "phantom.pickle").write_bytes(pickle.dumps(made))

    patient = pickle.loads((made_once(tmp_path_factory, "phantom", make) / "phantom.pickle").read_bytes())
    assert isinstance(patient, Phantom)
    return patient


@pytest.fixture(scope="session")
def toy_collection(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six copies of a coarse chest, each with nodes of its own inserted, laid out as the public collection.

    It ends at the diaphragm: the tests that use it need the chest alone, which halves the time.
    """

    def make(folder: Path) -> None:
        source, collection = folder / "chest.nii.gz", folder / "collection"
        trunk = phantom.volume.resample(2.2)
        lowest = round(0.53 * trunk.hu.shape[0])
        write_image(trunk.crop((lowest, 0, 0), (trunk.hu.shape[0] - lowest, *trunk.hu.shape[1:])), source)
        # The digest decides on the nodes: six are made up, for the chest's own differs with the processor's rounding.
        chest = read_background(source)
        chests = [replace(chest, digest=f"{number:016x}") for number in range(1, 7)]
        options = PhantomOptions(seed=1)
        collection.mkdir()
        for patient in inserted_patients(collection, chests, options):
            for case in patient.write():
                assert case.annotated, case.name
        finish(collection, options)

    return made_once(tmp_path_factory, "toy", make) / "collection"


@pytest.fixture(scope="session")
def write_segmentation() -> Callable[..., Path]:
    """Write a DICOM-SEG of numbered nodes as highdicom does: ``(path, slices, labels, kind="BINARY")``.

    ``labels`` holds numbers, z, y, x, or along a fourth axis segments that may overlap.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    def write(path: Path, slices: list[Any], labels: np.ndarray, kind: str = "BINARY") -> Path:
        count = labels.shape[3] if labels.ndim == 4 else int(labels.max())
        descriptions = [
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=f"node {number}",
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=codes.SCT.LymphNode,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number in range(1, count + 1)
        ]
        hd.seg.Segmentation(
            source_images=slices,
            pixel_array=labels,
            segmentation_type=hd.seg.SegmentationTypeValues[kind],
            segment_descriptions=descriptions,
            series_instance_uid=hd.UID(),
            series_number=300,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="test",
            manufacturer_model_name="test",
            software_versions="1",
            device_serial_number="1",
        ).save_as(path)
        return path

    return write


@pytest.fixture
def result() -> Result:
    """Two ellipsoidal nodes, labels 2 and 5, in a small noisy volume whose j axis grows to the front."""
    grid = Geometry((24, 80, 90), np.array([-30.0, 40.0, -500.0]), np.array([0.8, 0.8, 2.5]), np.diag([1.0, -1, 1]))
    k, j, i = np.indices(grid.shape_zyx)
    points = grid.index_to_mm(np.stack([i, j, k], axis=-1))
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    for label, (centre, half) in {2: ([0, 10, -480], [10, 6, 8]), 5: ([25, -5, -460], [5, 5, 5])}.items():
        labels[(((points - centre) / half) ** 2).sum(axis=-1) <= 1] = label
    hu = np.random.default_rng(3).normal(-80, 15, grid.shape_zyx)
    hu[labels > 0] += 130
    volume = Volume(hu.astype(np.int16), grid, case="CASE_007")
    nodes = [
        replace(node, score=score, region="abdomen", model="blobs")
        for node, score in zip(measure_masks(volume, Masks(labels, grid)), (0.91, 0.34), strict=True)
    ]
    return Result(
        volume,
        Masks(labels, grid),
        nodes,
        regions=("abdomen",),
        model="blobs",
        trained_on="Not trained; its numbers come from the literature.",
        thresholds={"abdomen": 0.2},
        notes=("2 slices were dropped as duplicates",),
        seconds={"read": 0.51, "detect": 2.04},
    )
