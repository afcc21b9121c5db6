from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctlymph.phantom.body.chest import mediastinal_parts
from ctlymph.phantom.body.heart import heart_parts
from ctlymph.phantom.body.lung_structures import lung_contents
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Finding, Physique, Sex
from ctlymph.phantom.body.shapes import Ellipsoid, Offset, Tubes, Union
from ctlymph.phantom.body.shoulders import scapula
from ctlymph.phantom.body.trunk import Trunk, trunk_parts
from ctlymph.phantom.nodes.patient_anatomy import Anatomy

LUNGS = Union((Ellipsoid((-80, 0, 310), (50, 75, 110)), Ellipsoid((80, 0, 310), (50, 75, 110))))


def physique(seed: int = 3) -> Physique:
    return Physique.sampled(np.random.default_rng(seed), contrast=True)


def named(parts: list[BodyPart], name: str) -> list[BodyPart]:
    return [part for part in parts if part.name == name]


@pytest.mark.parametrize(
    "name",
    [
        "azygos arch",
        "left superior intercostal vein",
        "internal thoracic vessel",
        "intercostal vessels",
        "thymus",
        "oesophagus",
        "thyroid",
        "lung vessels",
        "oblique fissure",
        "circumflex artery",
        "anterior scalene",
        "axillary branches",
    ],
)
def test_the_chest_holds_what_may_be_taken_for_a_node(anatomy: Anatomy, name: str) -> None:
    assert named(list(anatomy.parts), name)


def test_coronary_vessels_lie_on_the_heart() -> None:
    parts = heart_parts(Trunk.of(physique()))
    (heart,) = named(parts, "heart")
    for name in ("right coronary artery", "circumflex artery"):
        (vessel,) = named(parts, name)
        assert isinstance(vessel.solid, Tubes)
        assert np.median(np.abs(heart.solid.at(vessel.solid.starts_mm))) < 2.5


def test_bronchi_run_within_the_lungs_along_an_artery_as_wide() -> None:
    parts = lung_contents(replace(physique(), findings=frozenset()), LUNGS)
    assert len(named(parts, "bronchi")) == 2
    for bronchi, vessels in zip(named(parts, "bronchi"), named(parts, "lung vessels"), strict=True):
        assert isinstance(bronchi.solid, Tubes)
        middles = (bronchi.solid.starts_mm + bronchi.solid.ends_mm) / 2
        assert (LUNGS.at(middles) < 0).mean() > 0.8
        gap = vessels.solid.at(middles) - bronchi.solid.radii_mm.mean(axis=1)
        assert np.median(np.abs(gap)) < 2.5


@pytest.mark.parametrize(
    ("finding", "name"),
    [("emphysema", "emphysema"), ("lung nodule", "lung nodule"), ("pleural effusion", "pleural effusion")],
)
def test_a_finding_is_there_only_where_it_was_sampled(finding: Finding, name: str) -> None:
    parts = [
        lung_contents(replace(physique(), findings=sampled), LUNGS) for sampled in (frozenset({finding}), frozenset())
    ]
    assert [len(named(some, name)) for some in parts] == [1, 0]


def test_an_effusion_lies_at_the_back() -> None:
    fluid = named(
        lung_contents(replace(physique(), findings=frozenset({"pleural effusion"})), LUNGS), "pleural effusion"
    )
    x, y, z = np.meshgrid(np.arange(-120, 121, 8), np.arange(-70, 71, 7), [290.0], indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    wet = points[fluid[0].solid.at(points) < 0]
    assert len(wet) > 5
    assert wet[:, 1].min() > -10
    assert len(set(np.sign(wet[:, 0]))) == 1


def test_dense_contrast_reaches_the_veins_of_the_injected_arm_only() -> None:
    seeds = (seed for seed in range(60) if physique(seed).phase == "arterial")
    sampled = physique(next(seeds))
    hu = {part.name: part.hu for part in mediastinal_parts(Trunk.of(sampled))}
    side, other = ("right", "left") if sampled.injected < 0 else ("left", "right")
    assert hu["superior vena cava"] == hu[f"{side} brachiocephalic vein"] > hu[f"{other} brachiocephalic vein"] + 60


@pytest.mark.parametrize(("sex", "count"), [("F", 2), ("M", 0)])
def test_women_have_breasts(sex: Sex, count: int) -> None:
    assert len(named(trunk_parts(Trunk.of(replace(physique(), sex=sex))), "glandular tissue")) == count


def test_the_blade_of_the_scapula_swings_out_where_arms_lie_above_the_head() -> None:
    def lowest(arms_up: bool) -> float:
        blade = scapula(Trunk.of(replace(physique(), arms_up=arms_up)), 1)
        ends = np.concatenate([tubes.ends_mm for tubes in blade])
        return float(ends[ends[:, 2].argmin(), 0])

    assert lowest(True) > lowest(False) + 10


@pytest.mark.parametrize(
    "place",
    [(-14, -16, 392), (-20, -24, 360), (38, -18, 352), (30, -46, 355), (-2, -2, 325), (-8, 0, 285), (-40, -6, 328)],
    ids=["2R", "4R", "5", "6", "7", "8", "10R"],
)
def test_the_stations_of_nodes_stay_free(place: tuple[float, float, float]) -> None:
    free = []
    for seed in range(6):
        trunk = Trunk.of(physique(seed))
        around = np.array(place) + np.random.default_rng(seed).normal(0, (6, 5, 12), (120, 3))
        points = trunk.physique.place(around)
        solid = [Offset(p.solid, 2.0) for p in mediastinal_parts(trunk) if p.kind not in ("fat", "twigs")]
        free.append(float((np.min([one.at(points) for one in solid], axis=0) > 0).mean()))
    assert np.median(free) > 0.2
