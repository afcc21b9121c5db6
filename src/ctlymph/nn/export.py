"""A trained PyTorch module becomes a file that OpenVINO runs: exported once, when training ends.

The exported network is OpenVINO's intermediate representation: a graph in XML, and its constants. The constants bear
the names of the module's ``state_dict``, so that one file serves three ends: it runs without PyTorch, it is loaded into
the module to run on a GPU, and training can start from it. Reading it never runs code.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.short_repr import short_repr

if TYPE_CHECKING:
    from torch import Tensor, nn

Weights = Mapping[str, NDArray[Any]]
"""A module's parameters and buffers by their names in its ``state_dict``."""

_OF_THE_MODULE = "self."
"""What OpenVINO writes before the names of a module's parameters."""


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """A network as a model folder holds it.

    Attributes:
        graph: OpenVINO's XML, uint8.
        constants: The weights and other constants, uint8.
        layers: ``(n,)`` names of convolutions that may compute in int8; one that reads several joined arrays stands
            once for each of them, in their order.
        activation_ranges: ``(n, 2)`` the lowest and highest value that each of these arrays holds, float32.
    """

    graph: NDArray[np.uint8]
    constants: NDArray[np.uint8]
    layers: NDArray[np.str_]
    activation_ranges: NDArray[np.float32]

    __repr__ = short_repr

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> ExportedNetwork:
        """Return the network that :meth:`arrays` described.

        Raises:
            CtlymphError: If an array is missing.
        """
        try:
            return cls(*(arrays[name] for name in ("graph", "constants", "layers", "activation_ranges")))
        except KeyError as error:
            raise CtlymphError(f"the model holds no network ({shown(error)}); train it again") from error

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a model folder stores."""
        return dict(vars(self))

    def read(self) -> Any:
        """Return the ``openvino.Model``.

        Raises:
            CtlymphError: If it cannot be read.
        """
        import openvino

        try:
            return openvino.Core().read_model(self.graph.tobytes(), openvino.Tensor(self.constants))
        except RuntimeError as error:
            raise CtlymphError(f"the model's network cannot be read ({shown(error)}); train it again") from error

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the module's parameters and buffers by their names in its ``state_dict``."""
        return {
            node.friendly_name.removeprefix(_OF_THE_MODULE): np.array(node.data)
            for node in self.read().get_ops()
            if node.get_type_name() == "Constant" and node.friendly_name.startswith(_OF_THE_MODULE)
        }

    def save(self, path: Path) -> None:
        """Write ``path`` (``.xml``) and a ``.bin`` beside it, which OpenVINO's tools and Netron open."""
        path.write_bytes(self.graph.tobytes())
        path.with_suffix(".bin").write_bytes(self.constants.tobytes())


def export_network(module: nn.Module, inputs: Sequence[NDArray[np.float32]]) -> ExportedNetwork:
    """Convert a PyTorch module to OpenVINO's representation, for inputs of any size.

    Args:
        module: Any module that ``torch.jit.trace`` understands; it returns a tensor, or a tuple or list of them.
        inputs: An example of each input, batch first.

    Returns:
        The network, in float32, without activation ranges.

    Raises:
        CtlymphError: If OpenVINO cannot convert the module.

    Examples:
        >>> import numpy as np, torch
        >>> network = export_network(torch.nn.Conv2d(1, 4, 3), [np.zeros((1, 1, 8, 8), np.float32)])
        >>> sorted(network.weights())
        ['bias', 'weight']
    """
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    was_training = module.training
    module.eval()
    try:
        examples = tuple(torch.from_numpy(np.ascontiguousarray(each, np.float32)) for each in inputs)
        decoder = TorchScriptPythonDecoder(module, example_input=examples, trace_kwargs={"check_trace": False})
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            graph, constants = (np.fromfile(each, np.uint8) for each in (path, path.with_suffix(".bin")))
    except Exception as error:  # the module's own code runs here, and OpenVINO's failures have no common class
        raise CtlymphError(f"{type(module).__name__} cannot be exported to OpenVINO: {shown(error)}") from error
    finally:
        module.train(was_training)
    return ExportedNetwork(graph, constants, np.empty(0, "U1"), np.empty((0, 2), np.float32))


def load_weights(module: nn.Module, weights: Weights, *, except_layer: str = "") -> None:
    """Copy weights into a module.

    Args:
        module: The module.
        weights: Its parameters and buffers by their names in its ``state_dict``.
        except_layer: Name of a layer that keeps its own.

    Raises:
        CtlymphError: If one is missing or has another shape.
    """
    import torch

    name = type(module).__name__
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if key.endswith("num_batches_tracked") or (except_layer and key.startswith(f"{except_layer}.")):
                continue
            if key not in weights:
                raise CtlymphError(f"{name}: the weights hold no {key}; give those of this network")
            given = np.asarray(weights[key])
            if given.shape != tuple(value.shape):
                raise CtlymphError(f"{name}: {key} has the shape {given.shape}, expected {tuple(value.shape)}")
            value.copy_(torch.from_numpy(given))


def outputs_of(found: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return a module's outputs as a tuple, whether it returns one tensor or several."""
    import torch

    return (found,) if isinstance(found, torch.Tensor) else tuple(found)
