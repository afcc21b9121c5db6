from .contours import outlines as outlines
from .errors import CtlymphError as CtlymphError
from .errors import Remedy as Remedy
from .nodes import (
    Diameter as Diameter,
)
from .nodes import (
    LymphNode as LymphNode,
)
from .nodes import (
    Mark as Mark,
)
from .nodes import (
    NodeRads as NodeRads,
)
from .nodes import (
    Point as Point,
)
from .nodes import (
    Sizes as Sizes,
)
from .progress import SILENT as SILENT
from .progress import Progress as Progress
from .regions import ABDOMEN as ABDOMEN
from .regions import MEDIASTINUM as MEDIASTINUM
from .regions import REGIONS as REGIONS
from .regions import Region as Region
from .result import Result as Result
from .version import __version__ as __version__
from .volume import Geometry as Geometry
from .volume import Masks as Masks
from .volume import Volume as Volume
