"""The formats that `export_model` writes. Imports nothing, so that ``--help`` answers at once."""

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
