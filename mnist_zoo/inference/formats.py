"""The formats that `export_model` writes. Imports nothing, so that ``--help`` answers at once."""

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
# How to read each file in Python: the next step, with its path, a literal, and its network's name.
LOADING = {
    "onnx": 'onnxruntime.InferenceSession({path}).run(["logits"], {{"images": images}})',
    "torch_export": "torch.export.load({path}).module()(images)",
    "safetensors": 'mnist_zoo.create_model("{model}", pretrained={path})',
}
