"""Structures within fat: thin sheets of connective tissue, and vessels too small to be modelled one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ctlymph.phantom.body.shapes import Array
from ctlymph.phantom.body.splines import RandomField

_SEPTUM_MM = 1.1
_VESSEL_MM = 1.5
_SLOPE = 1.9
"""Mean slope of a :class:`RandomField`, in its standard deviations by its length."""


@dataclass(frozen=True)
class FatStructure:
    """Septa, where a random field is 0, and small vessels, where two are.

    Attributes:
        seed: Of the patient; septa and vessels stay where they are at later scans.
        septum_hu: How much denser than fat a septum is in its middle, where there are most.
        vessel_hu: The same of a vessel.
    """

    seed: int
    septum_hu: float
    vessel_hu: float

    @classmethod
    def sampled(cls, seed: int) -> FatStructure:
        """Sample how rich in them a patient's fat is."""
        rng = np.random.default_rng([seed, 7])
        return cls(seed, float(rng.uniform(40, 75)), float(rng.uniform(45, 90)))

    def add(self, hu: Array, x: Array, y: Array, z: Array) -> None:
        """Add them to the fat of slices (z, y, x), HU, at heights ``z``, in place."""
        sheets, crossing, wealth = (field.on_slices(x, y, z) for field in self._fields)
        for n in range(len(z)):
            # Only fat, not the mixture at its border with lung or muscle.
            share = np.clip((50 - np.abs(hu[n] + 100)) / 25, 0, 1)
            here = share > 0
            first, second = sheets[n][here] * self._narrow[0], crossing[n][here] * self._narrow[1]
            rich = np.clip(0.6 + 0.5 * wealth[n][here], 0, 1.4) * share[here]
            septa = np.float32(self.septum_hu) * np.exp(-((first / _SEPTUM_MM) ** 2))
            vessels = np.float32(self.vessel_hu) * np.exp(-(first**2 + second**2) / np.float32(_VESSEL_MM**2))
            hu[n][here] += rich * np.maximum(septa, vessels)

    @cached_property
    def _fields(self) -> tuple[RandomField, RandomField, RandomField]:
        return RandomField((self.seed, 71), 6.5), RandomField((self.seed, 72), 10.0), RandomField((self.seed, 73), 30.0)

    @property
    def _narrow(self) -> tuple[np.float32, np.float32]:
        """Factors from a field's value to the approximate distance from its zero, mm."""
        first, second, _ = self._fields
        return np.float32(1.67 * first.length_mm / _SLOPE), np.float32(1.67 * second.length_mm / _SLOPE)
