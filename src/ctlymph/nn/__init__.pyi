from .export import ExportedNetwork as ExportedNetwork
from .export import export_network as export_network
from .inference import compile_network as compile_network
from .run_context import RunContext as RunContext
from .training_loop import Schedule as Schedule
from .training_loop import TrainingSpec as TrainingSpec
from .training_loop import fit as fit
