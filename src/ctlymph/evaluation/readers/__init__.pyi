from .detection_files import read_detections as read_detections
from .ground_truth_files import read_ground_truth as read_ground_truth
