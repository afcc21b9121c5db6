"""Where and how exactly networks run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ctlymph.core.errors import CtlymphError

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
Precision = Literal["auto", "bf16", "f32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class RunContext:
    """Where and how exactly networks run.

    Attributes:
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if PyTorch is installed and sees one.
        precision: ``auto``: what the device computes quickly: on processors int8 in convolutions whose activation
            ranges are known, and bf16, where the processor has it, in all else; on GPUs tf32. ``bf16``: no int8.
            ``f32``: float32 throughout.

    Raises:
        CtlymphError: If there is no such device or precision.
    """

    device: Device = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for kind, value, known in (("device", self.device, DEVICES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise CtlymphError(f"there is no {kind} {value!r}; choose of {', '.join(known)}")
