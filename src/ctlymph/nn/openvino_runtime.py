"""OpenVINO graphs compiled for this processor."""

from __future__ import annotations

import os
from typing import Any

from ctlymph.nn.run_context import Precision


def request_for(model: Any, precision: Precision) -> Any:
    """Compile an OpenVINO graph for this processor, on the threads that this process may use; return a request."""
    import openvino

    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": _threads()}
    if precision == "f32":
        options["INFERENCE_PRECISION_HINT"] = "f32"
    return openvino.Core().compile_model(model, "CPU", options).create_infer_request()


def _threads() -> int:
    """Return the number of threads that this process is allowed, 0 for all; other libraries read it there as well."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return int(allowed) if allowed.isdecimal() else 0
