"""How a patient differs from the standard one: size, fat, findings, tissues, and how organs are shifted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.short_repr import short_repr
from ctlymph.phantom.body.shapes import Ellipsoid, Rough, Solid, Tubes, Waves, tube
from ctlymph.phantom.body.tissues import Phase, Tissues

Sex = Literal["F", "M"]
Finding = Literal["emphysema", "pleural effusion", "calcified arteries", "lung nodule", "fatty liver", "goitre"]
"""Findings that a patient may have, other than nodes."""


@dataclass(frozen=True)
class Physique:
    """How this patient differs from the standard one, which is symmetric about x = 0 and has z = 0 at the iliac crest.

    Attributes:
        scale: Size along x, y, z, 1 for the standard patient.
        fat: Thickness of subcutaneous fat, 1 for the standard patient.
        visceral_fat: Fat within chest and abdomen, 1 for the standard patient.
        sex: ``F`` or ``M``.
        age: In years.
        phase: When after the injection of contrast.
        injected: Side of the arm into which contrast went: -1 right, 1 left.
        arms_up: Whether the arms lie above the head, as they do in most chest and abdominal CTs.
        findings: This patient's findings other than nodes.
        tissues: CT numbers.
        bends: (n, 3, 5) plane waves that shift everything a little: per direction
            amplitude in mm, wave vector, phase.
        rng: Random numbers for all further parts, in the order in which they are built.
    """

    scale: NDArray[np.float64]
    fat: float
    tissues: Tissues
    bends: NDArray[np.float64]
    rng: np.random.Generator
    visceral_fat: float = 1.0
    sex: Sex = "M"
    age: int = 60
    phase: Phase = "unenhanced"
    injected: int = -1
    arms_up: bool = True
    findings: frozenset[Finding] = frozenset()

    __repr__ = short_repr

    @classmethod
    def sampled(cls, rng: np.random.Generator, contrast: bool) -> Physique:
        """Return a random patient; with ``contrast``, most scans are in the portal venous phase."""
        sex: Sex = "F" if rng.random() < 0.45 else "M"
        age = int(np.clip(rng.normal(60, 14), 20, 90))
        height = rng.normal(0.975 if sex == "F" else 1.015, 0.025)
        girth = rng.normal(0.97 if sex == "F" else 1.015, 0.035)
        # A trunk is wider than deep, by a half in the lean and by less in those with a belly.
        deep = rng.normal(1.06, 0.03)
        scale = np.clip([girth * 0.98 / deep**0.5, girth * deep, height], 0.88, 1.16)
        phases: tuple[Phase, ...] = ("portal venous", "arterial", "delayed")
        sampled: Phase = phases[int(rng.choice(3, p=[0.74, 0.14, 0.12]))]
        phase = sampled if contrast else "unenhanced"
        probabilities: dict[Finding, float] = {
            "emphysema": 0.003 * age,
            "pleural effusion": 0.15,
            "calcified arteries": float(np.clip((age - 45) / 40, 0.05, 0.8)),
            "lung nodule": 0.25,
            "fatty liver": 0.2,
            "goitre": 0.12,
        }
        findings = frozenset(name for name, probability in probabilities.items() if rng.random() < probability)
        tissues = Tissues.sampled(rng, phase)
        tissues = replace(tissues, marrow=float(np.clip(rng.normal(275 - 2.0 * age, 22), 70, 240)))
        if "fatty liver" in findings:
            tissues = replace(tissues, liver=tissues.liver - float(rng.uniform(12, 35)))
        return cls(
            scale,
            float(np.exp(rng.normal(0.25 if sex == "F" else 0.0, 0.35))),
            tissues,
            _bends(rng),
            rng,
            visceral_fat=float(np.exp(rng.normal(-0.1 if sex == "F" else 0.1, 0.3))),
            sex=sex,
            age=age,
            phase=phase,
            injected=int(rng.choice([-1, 1])),
            arms_up=bool(rng.random() < 0.9),
            findings=findings,
        )

    @property
    def size(self) -> float:
        """Mean scale, for radii."""
        return float(self.scale.mean())

    def place(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Return standard points (..., 3) in this patient, LPS mm; further columns are lengths and only scaled."""
        rows = np.array(points_mm, dtype=np.float64)
        standard = rows[..., :3].copy()
        phases = np.einsum("...a,nda->...nd", standard, self.bends[..., 1:4]) + self.bends[..., 4]
        rows[..., :3] = standard * self.scale + (self.bends[..., 0] * np.sin(phases)).sum(axis=-2)
        rows[..., 3:] *= self.size
        return rows

    def tube(self, points: ArrayLike, stretch: tuple[float, float, float] = (1, 1, 1), bend_mm: float = 8.0) -> Tubes:
        """Return a tube through standard points x, y, z, radius."""
        return tube(self.place(points), stretch, bend_mm)

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, turn_deg: tuple[float, float, float] = (0, 0, 0)
    ) -> Ellipsoid:
        """Return an ellipsoid given in standard coordinates, turned about x, y and z in that order."""
        from scipy.spatial.transform import Rotation

        x, y, z = self.place(centre)
        a, b, c = np.asarray(radii) * self.size
        return Ellipsoid((x, y, z), (a, b, c), Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix())

    def uneven(self, solid: Solid, by_mm: float, length_mm: float) -> Rough:
        """Return ``solid`` an uneven surface with waves of about ``length_mm``."""
        return Rough(solid, by_mm, self.waves(length_mm))

    def waves(self, length_mm: float, upright: float = 1.0) -> Waves:
        """Sample six waves of about ``length_mm``, ``upright`` times longer along z."""
        direction = self.rng.normal(size=(6, 3))
        direction *= (1, 1, 1 / upright) / np.linalg.norm(direction, axis=1, keepdims=True)
        number = 2 * np.pi / (length_mm * self.rng.uniform(0.7, 1.4, (6, 1)))
        return Waves(np.concatenate([direction * number, self.rng.uniform(0, 2 * np.pi, (6, 1))], axis=1))


def _bends(rng: np.random.Generator) -> NDArray[np.float64]:
    """Sample long waves of some mm, which move organs, and shorter ones, which bend vessels."""
    waves = []
    for amplitude, length in ((2.0, 220), (0.8, 85)):
        height = rng.uniform(0.3 * amplitude, amplitude, (3, 3, 1))
        number = rng.normal(0, 2 * np.pi / length, (3, 3, 3))
        waves.append(np.concatenate([height, number, rng.uniform(0, 2 * np.pi, (3, 3, 1))], axis=2))
    return np.concatenate(waves)
