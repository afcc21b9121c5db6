"""A seed gives the same CT whatever the number of threads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ctlymph.phantom
from ctlymph.phantom.body.weighted_sums import Weights

SCAN = """
import hashlib
import numpy as np
from ctlymph.core.volume import Geometry
from ctlymph.phantom.body.fat import FatStructure
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.shapes import Ellipsoid
from ctlymph.phantom.scan.scanner import Scanner, scan

grid = Geometry((20, 256, 256), np.array([-192.0, -192.0, 0.0]), np.array([1.5, 1.5, 2.5]))
body = BodyPart("fat", "fat", Ellipsoid((0, 0, 20), (170, 120, 900)), -100.0)
bone = BodyPart("spine", "bone", Ellipsoid((0, 60, 20), (25, 20, 900)), 600.0)
scanner = Scanner(seed=1, motion_mm=1.5, hardening=1.0)
print(hashlib.sha256(scan([body, bone], grid, scanner, FatStructure.sampled(1)).tobytes()).hexdigest())
"""


def test_one_and_two_threads_give_the_same_bytes() -> None:
    digests = set()
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        done = subprocess.run([sys.executable, "-c", SCAN], env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_no_array_product_goes_to_a_threaded_library() -> None:
    """Whether that changes bytes depends on the processor, so that the source itself is checked."""
    for path in Path(ctlymph.phantom.__file__).parent.rglob("*.py"):
        if path.name == "weighted_sums.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.name}, line {getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)), place
            assert not (isinstance(node, ast.Attribute) and node.attr in ("dot", "matmul", "tensordot")), place


@pytest.mark.parametrize("shape", [(7, 5), (7, 3, 4), (7, 1)])
def test_weighted_sums_are_those_of_a_matrix_product(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(9, 7)) * (rng.random((9, 7)) < 0.4)).astype(np.float32)
    values = rng.normal(size=shape).astype(np.float32)
    expected = np.tensordot(matrix, values, axes=1)
    np.testing.assert_allclose(Weights(matrix).rows(values), expected, rtol=1e-5, atol=1e-6)
    across = Weights(matrix).columns(np.moveaxis(values, 0, -1))
    np.testing.assert_allclose(across, np.moveaxis(expected, 0, -1), rtol=1e-5, atol=1e-6)
