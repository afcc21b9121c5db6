"""What a phantom consists of: parts of one tissue each, the patient's build, and CT numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.phantom.shapes import Ellipsoid, Rough, Solid, Tubes, Waves, tube

Kind = Literal["surroundings", "fat", "muscle", "bone", "lung", "vessel", "airway", "organ", "bowel", "twigs", "node"]
"""``surroundings`` enclose others; ``twigs`` are thin vessels that a node may swallow."""

Row = tuple[float, float, float, float]
"""A point x, y, z of the standard patient, mm, and the radius there."""


@dataclass(frozen=True)
class Part:
    """A solid of one tissue. Parts are painted in order; a later one covers an earlier one."""

    name: str
    kind: Kind
    solid: Solid
    hu: float


@dataclass(frozen=True)
class Tissues:
    """CT numbers, HU: unenhanced by default, or portal venous (:meth:`enhanced`).

    Typical values of the radiological literature; the patient's noise comes on top.
    """

    fat: float = -105
    skin: float = 5
    muscle: float = 55
    cartilage: float = 95
    disc: float = 80
    cord: float = 35
    cortex: float = 620
    marrow: float = 170
    lung: float = -865
    air: float = -1000
    artery: float = 42
    vein: float = 42
    portal_vein: float = 42
    heart_muscle: float = 45
    heart_blood: float = 42
    liver: float = 58
    spleen: float = 48
    kidney: float = 32
    kidney_pelvis: float = 8
    pancreas: float = 40
    bile: float = 8
    bowel_wall: float = 42
    bowel_fluid: float = 18
    oral_contrast: float = 18

    @classmethod
    def enhanced(cls) -> Tissues:
        """Values some 60 s after intravenous, and with oral, contrast."""
        return cls(
            muscle=62,
            artery=185,
            vein=150,
            portal_vein=178,
            heart_muscle=105,
            heart_blood=175,
            liver=108,
            spleen=122,
            kidney=185,
            pancreas=88,
            bowel_wall=78,
            oral_contrast=240,
        )


@dataclass(frozen=True)
class Build:
    """How this patient differs from the standard one, which is drawn about x = 0 with z = 0 at the iliac crest.

    Attributes:
        scale: Size along x, y, z, 1 for the standard patient.
        fat: Thickness of subcutaneous fat, 1 for the standard patient.
        tissues: CT numbers.
        bends: (n, 3, 5) plane waves that shift everything a little: per direction
            amplitude in mm, wave vector, phase.
        rng: Where further chance comes from, in the order in which parts are built.
    """

    scale: NDArray[np.float64]
    fat: float
    tissues: Tissues
    bends: NDArray[np.float64]
    rng: np.random.Generator

    @classmethod
    def drawn(cls, rng: np.random.Generator, contrast: bool) -> Build:
        """Draw a patient."""
        height = rng.normal(1.0, 0.025)
        girth = rng.normal(1.0, 0.035)
        scale = np.clip([girth * rng.normal(1, 0.015), girth, height], 0.9, 1.1)
        amplitude = rng.uniform(0.5, 1.5, (3, 3, 1))
        waves = rng.normal(0, 2 * np.pi / 220, (3, 3, 3))
        phase = rng.uniform(0, 2 * np.pi, (3, 3, 1))
        bends = np.concatenate([amplitude, waves, phase], axis=2)
        tissues = Tissues.enhanced() if contrast else Tissues()
        return cls(scale, float(np.exp(rng.normal(0.1, 0.3))), tissues, bends, rng)

    @property
    def size(self) -> float:
        """Mean scale, for radii."""
        return float(self.scale.mean())

    def place(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Bring standard points (..., 3) to this patient, LPS mm; further columns are lengths and only scaled."""
        rows = np.array(points_mm, dtype=np.float64)
        standard = rows[..., :3].copy()
        phases = np.einsum("...a,nda->...nd", standard, self.bends[..., 1:4]) + self.bends[..., 4]
        rows[..., :3] = standard * self.scale + (self.bends[..., 0] * np.sin(phases)).sum(axis=-2)
        rows[..., 3:] *= self.size
        return rows

    def tube(self, points: ArrayLike, stretch: tuple[float, float, float] = (1, 1, 1), bend_mm: float = 8.0) -> Tubes:
        """Lay a tube through standard points x, y, z, radius."""
        return tube(self.place(points), stretch, bend_mm)

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, turn_deg: tuple[float, float, float] = (0, 0, 0)
    ) -> Ellipsoid:
        """Put an ellipsoid, turned about x, y and z in that order, in standard coordinates."""
        from scipy.spatial.transform import Rotation

        x, y, z = self.place(centre)
        a, b, c = np.asarray(radii) * self.size
        return Ellipsoid((x, y, z), (a, b, c), Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix())

    def uneven(self, solid: Solid, by_mm: float, length_mm: float) -> Rough:
        """Give ``solid`` an uneven surface with waves of about ``length_mm``."""
        return Rough(solid, by_mm, self.waves(length_mm))

    def waves(self, length_mm: float, upright: float = 1.0) -> Waves:
        """Draw six waves of about ``length_mm``, ``upright`` times longer along z."""
        direction = self.rng.normal(size=(6, 3))
        direction *= (1, 1, 1 / upright) / np.linalg.norm(direction, axis=1, keepdims=True)
        number = 2 * np.pi / (length_mm * self.rng.uniform(0.7, 1.4, (6, 1)))
        return Waves(np.concatenate([direction * number, self.rng.uniform(0, 2 * np.pi, (6, 1))], axis=1))
