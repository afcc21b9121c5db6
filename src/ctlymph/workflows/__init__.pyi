from .detection import DetectOptions as DetectOptions
from .detection import detect as detect
from .detection import find_nodes as find_nodes
from .following import follow as follow
from .following import read_scan as read_scan
from .measuring import measure as measure
