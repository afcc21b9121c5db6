from __future__ import annotations

import numpy as np
import pytest

from ctlymph.phantom.body.abdomen import abdominal_parts
from ctlymph.phantom.body.bowel import Clumps
from ctlymph.phantom.body.chest import diaphragm
from ctlymph.phantom.body.loops import SPACING_MM, FreeSpace, packed, winding
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Ellipsoid, Union
from ctlymph.phantom.body.trunk import Trunk
from ctlymph.phantom.nodes.station_map import stations_of

Abdomen = tuple[Physique, Trunk, list[BodyPart]]


def made(seed: int) -> Abdomen:
    physique = Physique.sampled(np.random.default_rng([seed, 1]), contrast=True)
    trunk = Trunk.of(physique)
    return physique, trunk, abdominal_parts(trunk, diaphragm(physique))


@pytest.fixture(scope="module", params=[1, 2])
def abdomen(request: pytest.FixtureRequest) -> Abdomen:
    return made(request.param)


@pytest.fixture(scope="module")
def ball() -> FreeSpace:
    """A ball of 60 mm radius, with a closed one of 15 mm in its middle."""
    low, high = np.full(3, -70.0), np.full(3, 70.0)
    return FreeSpace.between(Ellipsoid((0, 0, 0), (60, 60, 60)), [Ellipsoid((0, 0, 0), (15, 15, 15))], (low, high))


def test_a_room_is_what_is_within_and_not_closed(ball: FreeSpace) -> None:
    assert ball.volume_mm3 == pytest.approx(4 / 3 * np.pi * (60**3 - 15**3), rel=0.03)
    depth, heading = ball.depths(np.array([(40.0, 0, 0), (55, 0, 0), (20, 0, 0), (0, 0, 0)]))
    np.testing.assert_allclose(depth, [20, 5, 5, -15], atol=4)
    assert heading[1, 0] < -0.9
    assert heading[2, 0] > 0.9


def test_a_chain_settles_in_its_room_with_no_loop_in_another(ball: FreeSpace) -> None:
    ends = np.array((45.0, 0, 0)), np.array((-45.0, 0, 0))
    radii = np.full(150, 7.0)
    start = winding(ball, np.random.default_rng(1), ends, len(radii))
    chain = packed(ball, start, radii)
    np.testing.assert_allclose(chain[[0, -1]], ends, atol=4)
    assert np.median(np.linalg.norm(np.diff(chain, axis=0), axis=1)) == pytest.approx(SPACING_MM, rel=0.15)
    assert (ball.depths(chain)[0] > 2).mean() > 0.97
    apart = np.linalg.norm(chain[:, None] - chain[None], axis=2)
    first, second = np.triu_indices(len(chain), k=4)
    assert (apart[first, second] > 11).mean() > 0.995


def test_a_room_about_a_point_is_the_nearest_of_it(ball: FreeSpace) -> None:
    near = ball.about(np.array([(40.0, 0, 0)]), 30e3)
    assert near.volume_mm3 == pytest.approx(30e3, rel=0.01)
    assert not (near.is_free & ~ball.is_free).any()
    x, _, _ = (np.argwhere(near.is_free) * 4.0 + near.corner_mm).T
    assert x.min() > 15


def test_a_settled_chain_has_few_sharp_bends(ball: FreeSpace) -> None:
    ends = np.array((45.0, 0, 0)), np.array((-45.0, 0, 0))
    radii = np.full(120, 7.0)
    chain = packed(ball, winding(ball, np.random.default_rng(2), ends, len(radii)), radii)
    # Four beads on lie 36 mm away where a loop is straight, 27 mm on a bend of 14 mm.
    assert (np.linalg.norm(chain[4:] - chain[:-4], axis=1) > 18).mean() > 0.9


def test_clumps_fill_as_much_as_their_level_says() -> None:
    physique = Physique.sampled(np.random.default_rng(1), contrast=True)
    points = np.random.default_rng(2).uniform(-200, 200, (40_000, 3))
    inside = [(Clumps(physique.waves(8.0), level).at(points) < 0).mean() for level in (0.0, 1.0)]
    np.testing.assert_allclose(inside, [0.5, 0.16], atol=0.03)


def test_the_same_patient_has_the_same_abdomen() -> None:
    (_, _, first), (_, _, again) = made(3), made(3)
    assert [(part.name, part.hu) for part in first] == [(part.name, part.hu) for part in again]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.solid.bounds, other.solid.bounds)


def test_small_bowel_is_long_and_keeps_out_of_what_others_hold(abdomen: Abdomen) -> None:
    _, trunk, parts = abdomen
    walls = [part.solid for part in parts if part.name == "small bowel"]
    low, high = Union(tuple(walls)).bounds
    points = np.random.default_rng(0).uniform(low, high, (20_000, 3))
    bowel = points[np.min([wall.at(points) for wall in walls], axis=0) < -2]
    assert 250e3 < len(bowel) / len(points) * float(np.prod(high - low)) < 1500e3
    assert (trunk.cavity.at(bowel) < 0).mean() > 0.99
    for name in ("liver", "spleen", "kidney", "bladder", "ascending colon wall", "abdominal aorta"):
        for part in parts:
            if part.name == name:
                assert (part.solid.at(bowel) < -3).mean() < 0.01, name


def test_vessels_and_bowel_are_cut_across_near_the_mesenteric_stations(abdomen: Abdomen) -> None:
    physique, _, parts = abdomen
    solids = [part.solid for part in parts if part.kind in ("vessel", "twigs", "bowel")]
    for station in stations_of("abdomen"):
        if station.name in ("mesenteric", "mesenteric root", "ileocolic"):
            middle = physique.place(station.middle)
            points = middle + np.random.default_rng(0).uniform(-18, 18, (3000, 3)) * (1, 1, 0)
            held = np.min([solid.at(points) for solid in solids], axis=0) < 0
            assert 0.05 < held.mean() < 0.85, station.name


@pytest.mark.parametrize(("sex", "own"), [("F", "uterus"), ("M", "prostate")])
def test_a_pelvis_holds_what_its_sex_has(sex: str, own: str) -> None:
    seeds = (seed for seed in range(20) if Physique.sampled(np.random.default_rng([seed, 1]), contrast=True).sex == sex)
    names = {part.name for part in made(next(seeds))[2]}
    assert {"uterus", "prostate"} & names == {own}
    assert {"bladder", "external iliac artery", "internal iliac vein", "rectum wall", "appendix"} <= names
