from .landmarks import Landmarks as Landmarks
from .landmarks import find_landmarks as find_landmarks
from .search_regions import find_regions as find_regions
from .stations import station_of as station_of
