"""The one environment of all pages: templates that escape what they show, and fail where a name is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment() -> Environment:
    """Return the templates of all pages, with the filters that they share."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ctlymph.outputs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["minus"] = lambda text: str(text).replace("-", "\u2212")
    environment.filters["unbroken"] = lambda text: text.replace(" mm", "\u00a0mm").replace(" %", "\u00a0%")
    return environment
