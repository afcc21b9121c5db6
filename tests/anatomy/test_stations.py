"""Stations by rule, on made landmarks, and on the synthetic patient whose stations are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctlymph.anatomy.airways import Airway
from ctlymph.anatomy.landmarks import Landmarks, find_landmarks
from ctlymph.anatomy.stations import station_of
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM
from ctlymph.core.volume import Geometry
from ctlymph.phantom.scan.patient import Phantom

STEP = 3.0
CARINA_Z, LUNG_BASE_Z = 360.0, 180.0
SHAPE = (170, 80, 100)
GRID = Geometry(SHAPE, np.array([-150.0, -200.0, 0.0]), np.full(3, STEP))
SPINE_XY, TRACHEA_XY = (0.0, 0.0), (-3.0, -36.0)


def landmarks() -> Landmarks:
    """A trachea of 18 mm, 3 mm to the right of the midline; its carina at 360 mm; lungs from 180 to 450 mm."""
    z, y, x = np.indices(SHAPE)
    points = GRID.index_to_mm(np.stack([x, y, z], axis=-1))
    beside = np.hypot(points[..., 0] - TRACHEA_XY[0], points[..., 1] - TRACHEA_XY[1])
    lumen = (beside < 9) & (points[..., 2] >= CARINA_Z) & (points[..., 2] < 450)
    lungs = (np.abs(points[..., 0]) > 60) & (points[..., 2] >= LUNG_BASE_Z) & (points[..., 2] <= 450)
    heights = np.arange(450 - STEP, CARINA_Z - 1, -STEP)
    path = GRID.mm_to_index(np.array([[*TRACHEA_XY, height] for height in heights]))
    spine = np.column_stack([np.tile(GRID.mm_to_index([*SPINE_XY, 0.0])[:2], (SHAPE[0], 1)), np.ones(SHAPE[0])])
    airway = Airway(lumen, path, path[-1])
    return Landmarks(np.zeros(SHAPE, np.int16), GRID, np.ones(SHAPE, bool), airway, lungs, spine)


@pytest.mark.parametrize(
    ("left", "front", "up", "station"),
    [
        (-15, 8, 20, "4R"),
        (5, 0, 20, "4R"),  # left of the midline, but right of the trachea's left wall
        (13, 0, 20, "4L"),
        (-12, 8, 55, "2R"),
        (5, 8, 55, "2R"),
        (16, 8, 55, "2L"),
        (20, 5, 85, "left 1"),
        (-25, 5, 85, "right 1"),
        (0, 58, 10, "3A"),
        (0, -21, 40, "3P"),
        (40, 8, 16, "5"),
        (34, 35, 16, "6"),
        (0, -4, -15, "7"),
        (-5, -8, -60, "8"),
        (-36, -22, -70, "9R"),
        (44, -22, -70, "9L"),
        (-38, -4, -8, "10R"),
        (49, 6, -25, "10L"),
        (60, -4, -28, "11L"),
        (-64, -14, -42, "12R"),
        (82, -15, -45, "14L"),
        (-22, 70, -10, "right internal mammary"),
        (35, 82, -95, "left cardiophrenic"),
        (-120, 0, 20, "right axillary"),
    ],
)
def test_the_chest_follows_from_the_airway(left: float, front: float, up: float, station: str) -> None:
    point = (TRACHEA_XY[0] + left, TRACHEA_XY[1] - front, CARINA_Z + up)
    assert station_of(point, landmarks(), MEDIASTINUM) == station


@pytest.mark.parametrize(
    ("left", "front", "up", "station"),
    [
        (20, 15, 30, "left retrocrural"),
        (-8, 20, 28, "right retrocrural"),
        (25, 42, 16, "gastrohepatic"),
        (18, 62, -2, "coeliac"),
        (-39, 46, -8, "portal"),
        (-24, 58, -10, "portocaval"),
        (10, 60, -45, "peripancreatic"),
        (80, -5, 20, "splenic hilum"),
        (92, 57, 28, "gastrosplenic"),
        (29, 29, -65, "left para-aortic"),
        (8, 45, -95, "preaortic"),
        (-8, 37, -70, "aortocaval"),
        (-42, 36, -88, "paracaval"),
        (0, 60, -78, "mesenteric root"),
        (20, 60, -140, "mesenteric"),
        (-67, 48, -168, "ileocolic"),
        (68, 22, -130, "left mesocolic"),
        (32, 38, -174, "left common iliac"),
    ],
)
def test_the_abdomen_follows_from_spine_and_lungs(left: float, front: float, up: float, station: str) -> None:
    point = (SPINE_XY[0] + left, SPINE_XY[1] - front, LUNG_BASE_Z + up)
    assert station_of(point, landmarks(), ABDOMEN) == station


@pytest.mark.parametrize(
    ("front", "up", "station"), [(90, -255, "right external iliac"), (32, -250, "right internal iliac")]
)
def test_the_pelvis_lies_below(front: float, up: float, station: str) -> None:
    whole = landmarks()
    lungs = np.zeros_like(whole.lungs)
    lungs[140:150] = True  # a longer trunk: the lungs begin at 420 mm
    assert station_of((-45.0, -front, 420.0 + up), replace(whole, lungs=lungs), ABDOMEN) == station


def test_without_landmarks_there_is_no_station() -> None:
    whole = landmarks()
    blind = replace(whole, airway=Airway(np.zeros(SHAPE, bool), np.empty((0, 3)), None), lungs=np.zeros(SHAPE, bool))
    assert station_of((0.0, -40.0, 360.0), blind, MEDIASTINUM) == ""
    assert station_of((0.0, -40.0, 100.0), blind, ABDOMEN) == ""  # its spine goes on beyond the scan


def test_most_of_the_synthetic_patients_nodes_are_named_as_they_were_placed(phantom: Phantom) -> None:
    found = find_landmarks(phantom.volume)
    enlarged = [node for node in phantom.nodes if node.short_axis_mm >= 8 and node.station != "inguinal"]
    named = [station_of(node.centre_mm, found, node.region) for node in enlarged]
    assert all(named)
    right = [name == node.station for name, node in zip(named, enlarged, strict=True)]
    assert np.mean(right) >= 0.6, [(node.station, name) for name, node in zip(named, enlarged, strict=True)]
