"""The networks of the detectors, as plain PyTorch modules. Only training and GPUs need them, and PyTorch."""
