from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.tissues import Phase, Tissues


def builds(count: int, *, contrast: bool = True) -> list[Physique]:
    return [Physique.sampled(np.random.default_rng(seed), contrast) for seed in range(count)]


def test_the_same_chance_gives_the_same_patient() -> None:
    first, again = (Physique.sampled(np.random.default_rng(7), contrast=True) for _ in range(2))
    assert (first.sex, first.age, first.phase, first.findings) == (again.sex, again.age, again.phase, again.findings)
    assert first.tissues == again.tissues
    np.testing.assert_array_equal(first.bends, again.bends)


def test_contrast_is_mostly_seen_in_the_portal_venous_phase_and_never_without_injection() -> None:
    phases = Counter(physique.phase for physique in builds(300))
    assert 0.6 < phases["portal venous"] / 300 < 0.88
    assert phases["arterial"] > 10
    assert phases["delayed"] > 10
    assert phases["unenhanced"] == 0
    assert {physique.phase for physique in builds(20, contrast=False)} == {"unenhanced"}


@pytest.mark.parametrize(
    ("phase", "brighter", "darker"),
    [
        ("arterial", "artery", "portal_vein"),
        ("arterial", "upper_vein", "artery"),
        ("portal venous", "vein", "lower_vein"),
        ("portal venous", "liver", "muscle"),
        ("delayed", "kidney_pelvis", "artery"),
        ("unenhanced", "muscle", "artery"),
    ],
)
def test_a_phase_is_known_by_what_is_brighter(phase: Phase, brighter: str, darker: str) -> None:
    sampled = [Tissues.sampled(np.random.default_rng(seed), phase) for seed in range(30)]
    brighter_by = [getattr(tissues, brighter) - getattr(tissues, darker) for tissues in sampled]
    assert np.median(brighter_by) > 8
    assert np.mean(np.array(brighter_by) > 0) > 0.85


def test_blood_differs_between_patients_of_one_phase() -> None:
    artery = [Tissues.sampled(np.random.default_rng(seed), "portal venous").artery for seed in range(60)]
    assert 10 < np.std(artery) < 35
    assert min(artery) > 110
    assert max(artery) < 260


def test_women_have_more_fat_under_the_skin_and_men_more_within() -> None:
    women, men = ([physique for physique in builds(300) if physique.sex == sex] for sex in ("F", "M"))
    assert min(len(women), len(men)) > 90
    assert np.median([b.fat for b in women]) > np.median([b.fat for b in men])
    assert np.median([b.visceral_fat for b in women]) < np.median([b.visceral_fat for b in men])


def test_the_old_have_calcified_arteries_more_often() -> None:
    everyone = builds(400)
    old, young = ([b for b in everyone if (b.age > 60) == is_old] for is_old in (True, False))
    shares = [np.mean(["calcified arteries" in b.findings for b in group]) for group in (old, young)]
    assert shares[0] > 2 * shares[1] > 0
