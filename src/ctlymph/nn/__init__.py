"""Networks at work: written once in layers, run by OpenVINO on processors and by PyTorch where there is a GPU."""
