"""CT numbers of a patient's tissues, by the phase of contrast enhancement."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

Phase = Literal["unenhanced", "arterial", "portal venous", "delayed"]
"""When after the injection of contrast: never, some 35 s, 70 s, 180 s."""


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

    upper_vein: float = 42
    """In the veins through which the contrast came."""
    lower_vein: float = 42
    """In iliac veins and the vena cava below the kidneys."""
    lung_blood: float = 42
    """In pulmonary arteries and veins."""
    thyroid: float = 95

    @classmethod
    def enhanced(cls) -> Tissues:
        """Typical values some 70 s after intravenous, and with oral, contrast."""
        return cls(
            muscle=62,
            artery=158,
            vein=145,
            portal_vein=165,
            heart_muscle=105,
            heart_blood=155,
            liver=108,
            spleen=122,
            kidney=185,
            pancreas=88,
            bowel_wall=78,
            oral_contrast=240,
            upper_vein=150,
            lower_vein=118,
            lung_blood=152,
            thyroid=165,
        )

    @classmethod
    def sampled(cls, rng: np.random.Generator, phase: Phase) -> Tissues:
        """Sample the values of one patient at a phase."""
        if phase == "unenhanced":
            blood = float(rng.normal(42, 4))
            names = ("artery", "vein", "portal_vein", "heart_blood", "upper_vein", "lower_vein", "lung_blood")
            return replace(cls(), **dict.fromkeys(names, blood), liver=float(rng.normal(57, 7)))
        # Dose, weight and heart move all that is enhanced together.
        strength = float(np.clip(rng.normal(1, 0.14), 0.7, 1.4))
        plain, typical = cls(), replace(cls.enhanced(), **_PHASES[phase])
        rise = {
            field.name: (getattr(typical, field.name) - getattr(plain, field.name)) * strength * rng.normal(1, 0.05)
            for field in fields(cls)
            if field.name not in ("muscle", "oral_contrast")
        }
        oral = float(rng.choice([18, rng.uniform(200, 380)], p=[0.45, 0.55]))
        values = {name: getattr(plain, name) + float(more) for name, more in rise.items()}
        return cls(**values, muscle=float(rng.normal(60, 3)), oral_contrast=oral)


# What other phases change in the portal venous one.
_PHASES: dict[Phase, dict[str, float]] = {
    "portal venous": {},
    "arterial": {
        "artery": 310,
        "vein": 85,
        "portal_vein": 95,
        "heart_blood": 300,
        "liver": 68,
        "spleen": 125,
        "kidney": 150,
        "pancreas": 105,
        "upper_vein": 420,
        "lower_vein": 50,
        "lung_blood": 290,
    },
    "delayed": {
        "artery": 125,
        "vein": 122,
        "portal_vein": 122,
        "heart_blood": 123,
        "heart_muscle": 95,
        "liver": 92,
        "spleen": 95,
        "kidney": 140,
        "kidney_pelvis": 500,
        "pancreas": 72,
        "upper_vein": 122,
        "lower_vein": 118,
        "lung_blood": 123,
        "thyroid": 135,
    },
}
