"""What to use here for names of PyTorch and Keras that do not exist: one table, from which errors take their hints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

_LAYERS = "layers are names of the package, such as pynn.Linear, and their functions are in pynn.functional"
_NUMPY = "arrays are NumPy arrays: numpy.asarray(values, dtype='float32')"
_NO_AUTOGRAD = "there is no autograd: model.fit trains; by hand, call loss(output, target), then model.backward(loss.backward())"
_CPU = "pynn computes on CPUs only; leave the call out"
_HALF = "pynn computes in float32 and float64; layer.float() and layer.double() convert"
_EVAL = "model.predict and model.evaluate keep nothing for backward; leave it out"
_DATA = "model.fit takes arrays, or an iterable of batches (X, y), such as a PyTorch DataLoader"
_CONFIGS = "model.save(path) writes architecture and weights together, and pynn.load reads them; model.get_config() is the architecture"

HINTS: Mapping[str, Mapping[str, str]] = {
    "module": {
        **dict.fromkeys(("nn", "Functional", "keras", "modules"), _LAYERS),
        "Module": "derive layers from pynn.Layer, and define forward and backward",
        **dict.fromkeys(("Tensor", "tensor", "from_numpy", "as_tensor", "FloatTensor", "Variable"), _NUMPY),
        **dict.fromkeys(("float16", "half", "bfloat16"), _HALF),
        **dict.fromkeys(("float32", "float64", "double", "int64", "long"), "dtypes are NumPy's, or their names: dtype='float64'"),
        **dict.fromkeys(("autograd", "GradientTape"), _NO_AUTOGRAD),
        **dict.fromkeys(("no_grad", "inference_mode", "enable_grad"), _EVAL),
        **dict.fromkeys(("cuda", "device", "backends", "mps"), _CPU),
        **dict.fromkeys(("utils_data", "DataLoader", "Dataset", "TensorDataset"), _DATA),
        "save": "model.save(path) writes a model, and pynn.io.save_file a dict of arrays",
        "load_model": "pynn.load(path) reads a model",
        "set_seed": "pynn.manual_seed(seed) sets the seed of everything that has none",
        "seed": "pynn.manual_seed(seed) sets the seed of everything that has none",
        "Dense": "pynn.Linear(in_features, out_features)",
        "Conv1D": "pynn.Conv1d(in_channels, out_channels, kernel_size), with channels first",
        "Conv2D": "pynn.Conv2d(in_channels, out_channels, kernel_size), with channels first",
        "Conv2DTranspose": "pynn.ConvTranspose2d(in_channels, out_channels, kernel_size)",
        "MaxPooling1D": "pynn.MaxPool1d(kernel_size)",
        "MaxPooling2D": "pynn.MaxPool2d(kernel_size)",
        "AveragePooling1D": "pynn.AvgPool1d(kernel_size)",
        "AveragePooling2D": "pynn.AvgPool2d(kernel_size)",
        "GlobalAveragePooling1D": "pynn.GlobalAvgPool1d()",
        "GlobalAveragePooling2D": "pynn.GlobalAvgPool2d()",
        "GlobalMaxPooling1D": "pynn.GlobalMaxPool1d()",
        "GlobalMaxPooling2D": "pynn.GlobalMaxPool2d()",
        "BatchNormalization": "pynn.BatchNorm1d(num_features) or pynn.BatchNorm2d(num_features)",
        "LayerNormalization": "pynn.LayerNorm(normalized_shape)",
        "GroupNormalization": "pynn.GroupNorm(num_groups, num_channels)",
        "SpatialDropout1D": "pynn.Dropout1d(p)",
        "SpatialDropout2D": "pynn.Dropout2d(p)",
        "UpSampling2D": "pynn.Upsample(scale_factor=2)",
        "ZeroPadding2D": "pynn.ZeroPad2d(padding)",
        "Concatenate": "pynn.Concat(dim=1)",
        "ModuleList": "a layer may keep other layers as attributes; pynn.Sequential and pynn.Parallel hold several",
        "EarlyStopping": "pynn.callbacks.EarlyStopping",
        "ModelCheckpoint": "pynn.callbacks.ModelCheckpoint",
        "Adam": "pynn.optim.Adam",
        "SGD": "pynn.optim.SGD",
        "AdamW": "pynn.optim.AdamW",
        "optimizers": "pynn.optim",
        "initializers": "pynn.init, or model.apply_init(...)",
        **dict.fromkeys(("Conv3d", "Conv3D", "MaxPool3d", "AvgPool3d", "BatchNorm3d"), "there are no layers for volumes"),
        **dict.fromkeys(("LSTM", "GRU", "RNN", "SimpleRNN"), "there are no recurrent layers; Conv1d reads sequences"),
    },
    "layer": {
        **dict.fromkeys(("cuda", "xpu", "ipu", "mtia", "share_memory", "to_empty"), _CPU),
        **dict.fromkeys(("half", "bfloat16", "type"), _HALF),
        "compile": "model.fit takes loss=, optimizer= and metrics= itself; nothing is compiled",
        "fit_generator": "model.fit takes an iterable or a generator function: model.fit(batches, loss=...)",
        "predict_generator": "model.predict takes an iterable of batches",
        "predict_classes": "model.predict_class(X)",
        "predict_on_batch": "model.predict(X)",
        "test_on_batch": "model.evaluate(X, y)",
        "score": "model.evaluate(X, y)",
        "get_weights": "layer.state_dict() returns arrays by name",
        "set_weights": "layer.load_state_dict(state) takes arrays by name",
        "get_layer": "model[name], or model.get_submodule(name)",
        "save_weights": "pynn.io.save_file(model.state_dict(), path)",
        "load_weights": "model.load_state_dict(...) takes the weights of pynn, PyTorch and, through pynn.io.from_keras, Keras",
        **dict.fromkeys(("to_json", "to_yaml", "from_json"), _CONFIGS),
        "trainable": "layer.freeze() and layer.unfreeze(), or layer.requires_grad_(False)",
        "trainable_weights": "[p for p in layer.parameters() if p.requires_grad]",
        "trainable_variables": "[p for p in layer.parameters() if p.requires_grad]",
        "weights": "layer.params, arrays by name, or layer.parameters()",
        "count_params": "sum(p.numel() for p in layer.parameters())",
        "kernel": "the kernel is layer.weight; pynn.Linear has it transposed: (out_features, in_features)",
        "add": "append(layer)",
        "register_backward_hook": "register_full_backward_hook",
        "extra_repr": "repr(layer) shows layer.get_config()",
        "call": "define forward and backward; layer(x) calls forward",
    },
    "loss": {
        "item": "the loss itself has no value; loss(output, target) returns a number, and float(...) converts it",
        "forward": "loss(output, target)",
        "zero_grad": "model.zero_grad() or optimizer.zero_grad()",
        "detach": "loss(output, target) returns a NumPy number, which needs no detach",
        "numpy": "loss(output, target) returns a NumPy number",
    },
    "optimizer": {
        "minimize": _NO_AUTOGRAD,
        "apply_gradients": "optimizer.step() uses the gradients that backward has added to p.grad",
        "learning_rate": "optimizer.param_groups[0]['lr']",
        "lr": "optimizer.param_groups[0]['lr']",
    },
    "functional": {
        **dict.fromkeys(("conv3d", "conv_transpose3d", "max_pool3d", "avg_pool3d"), "there are no layers for volumes"),
        "upsample": "interpolate",
    },
}
"""For each kind of object, names that it does not have, and what to use instead."""


def _message(kind: str, owner: str, name: str) -> str:
    hint = HINTS[kind].get(name)
    return f"{owner} has no attribute {name!r}" + (f"; in pynn: {hint}" if hint else "")


def missing_attribute(kind: str, obj: object, name: str) -> AttributeError:
    """Return the error for an attribute that an object of this kind does not have, with a hint if there is one."""
    return AttributeError(_message(kind, f"{type(obj).__name__!r} object", name), name=name, obj=obj)


def missing_name(kind: str, module: str, name: str) -> AttributeError:
    """Return the error for a name that a module does not have, with a hint if there is one."""
    return AttributeError(_message(kind, f"module {module!r}", name), name=name, obj=sys.modules.get(module))


class _Hint:
    """A class attribute that objects do not have: reading it raises AttributeError with a hint.

    A ``__getattr__`` would slow down every attribute access of the class.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name

    def __get__(self, obj: object, owner: type) -> Any:
        if obj is None:
            raise AttributeError(_message(self.kind, f"type object {owner.__name__!r}", self.name), name=self.name, obj=owner)
        raise missing_attribute(self.kind, obj, self.name)


def hinted(kind: str, module: str) -> type:
    """Return a base class whose objects raise an AttributeError with a hint for each name in ``HINTS[kind]``."""
    return type(f"Hinted{kind.capitalize()}", (), {"__module__": module, **{name: _Hint(kind, name) for name in HINTS[kind]}})
