"""Descriptions of models in the first format, ``ctlymph-model-1``, turned into the second.

There the settings of a stage are the text of a Python call, ``LymphNet(name='lymphnet', width=32)``, and stages have no
version. They count as version 1: all stages had that when the second format came.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from ctlymph.detectors.settings import Json

FORMAT_1 = "ctlymph-model-1"

_RENAMED = {"apart_mm": "min_distance_mm", "at_most": "max_candidates", "least": "min_score"}
"""Settings that have another name now, whatever the stage."""
_RENAMED_METRICS = {
    "found": "max_sensitivity",
    "parts": "subsets",
    "least_short_axis_mm": "min_short_axis_mm",
    "marks": "detections",
    "nodes_in_reach_of_a_mark": "nodes_within_reach",
}


def migrated(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``model.json`` of the first format as the second has it, but for the format's name.

    Raises:
        ValueError, SyntaxError, KeyError, TypeError, AttributeError: If it is not of the first format.
    """
    regions = {}
    for name, region in card["regions"].items():
        others = {key: value for key, value in region.items() if key not in ("parts", "figures")}
        stages = [{**part, "version": 1, "settings": _settings(part["settings"])} for part in region["parts"]]
        regions[name] = {**others, "stages": stages, "metrics": _renamed_metrics(region["figures"])}
    return {**card, "regions": regions}


def _renamed_metrics(value: Any) -> Any:
    """Return metrics with today's names, at every depth."""
    if isinstance(value, Mapping):
        return {_RENAMED_METRICS.get(name, name): _renamed_metrics(each) for name, each in value.items()}
    return [_renamed_metrics(each) for each in value] if isinstance(value, list) else value


def _settings(text: str) -> dict[str, Json]:
    settings = _value(ast.parse(text, mode="eval").body)
    if not isinstance(settings, dict):
        raise ValueError(f"{text[:60]!r} are no settings")
    settings.pop("name", None)
    return settings


def _value(node: ast.expr) -> Json:
    """Return the value of a literal, or the keyword arguments of a call: the fields of a dataclass."""
    if isinstance(node, ast.Call):
        return {_RENAMED.get(each.arg or "", each.arg or ""): _value(each.value) for each in node.keywords}
    if isinstance(node, ast.Tuple | ast.List):
        return [_value(each) for each in node.elts]
    value: Json = ast.literal_eval(node)
    return value
