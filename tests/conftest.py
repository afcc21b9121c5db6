"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ctlymph.cli.processes import THREADS
from ctlymph.core.volume import Geometry, Volume
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


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A synthetic torso on a coarse grid, with its true nodes.

    This patient's nodes are such as the plain detector finds; how hard most are, benchmarks/difficulty.py measures.
    """
    return make_patient(PhantomSpec(seed=12, spacing_mm=(1.6, 1.6, 3.0)))


@pytest.fixture(scope="session")
def toy_collection(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six copies of a coarse chest, each with nodes of its own put in, laid out as the public collection.

    It ends at the diaphragm: the chest is all that those who use it look at, and halves the time.
    """
    from ctlymph.io.images import write_image
    from ctlymph.phantom.collection.backgrounds import inserted_patients, read_background
    from ctlymph.phantom.collection.collection_files import finish
    from ctlymph.phantom.collection.patients import PhantomOptions

    source, folder = tmp_path_factory.mktemp("chests") / "chest.nii.gz", tmp_path_factory.mktemp("toy") / "collection"
    trunk = phantom.volume.resample(2.2)
    lowest = round(0.53 * trunk.hu.shape[0])
    write_image(trunk.crop((lowest, 0, 0), (trunk.hu.shape[0] - lowest, *trunk.hu.shape[1:])), source)
    # What is drawn follows from the digest: six are made up, for the chest's own differs with the processor's rounding.
    chest = read_background(source)
    chests = [replace(chest, digest=f"{number:016x}") for number in range(1, 7)]
    options = PhantomOptions(seed=1)
    folder.mkdir()
    for patient in inserted_patients(folder, chests, options):
        for case in patient.write():
            assert case.annotated, case.name
    finish(folder, options)
    return folder


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
