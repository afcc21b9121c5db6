"""Libraries that the base install leaves out, and the extras that bring them."""

from __future__ import annotations

from importlib.util import find_spec

from ctlymph.core.errors import CtlymphError

EXTRAS = {
    "matplotlib": "plots",
    "sklearn": "classical",
    "skops": "classical",
    "numba": "classical",
    "torch": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "idc_index": "cloud",
}
"""By the module's name: the extra of ctlymph that installs it."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "torch": "PyTorch", "idc_index": "idc-index"}


def check_installed(*modules: str, purpose: str) -> None:
    """Check that optional libraries are installed, before hours of work begin.

    Args:
        modules: Names of modules, keys of :data:`EXTRAS`.
        purpose: What needs them, as the beginning of the message: ``"seff2014"`` or ``"the plot of the curves"``.

    Raises:
        CtlymphError: If one is absent; it names the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise CtlymphError(f"{purpose} needs {how_to_install(module)}")


def how_to_install(module: str) -> str:
    """Return what an optional library is called, and the command that installs it.

    >>> how_to_install("sklearn")
    "scikit-learn, which is not installed; install it: pip install 'ctlymph[classical]'"
    """
    name = _DISTRIBUTIONS.get(module, module)
    return f"{name}, which is not installed; install it: pip install 'ctlymph[{EXTRAS[module]}]'"
