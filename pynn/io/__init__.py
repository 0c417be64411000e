"""Read and write models, checkpoints and named arrays as safetensors files, and convert weights of Keras."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from .._arrays import Array
from .._random import skip_initial_values
from ..layers._base import Layer
from ..layers._config import SHARED, layer_from_config
from .keras import from_keras, to_keras
from .safetensors import load_file, save_file

__all__ = ["from_keras", "load", "load_file", "save", "save_file", "to_keras"]


def __dir__() -> list[str]:
    return __all__


LAYER_LIMIT = 20_000
"""The most layers of a model in a file."""
_LONGEST_JSON = 2**24
_MOST_PARTS = 200_000
_LONGEST_TEXT = 2**16
ARCHITECTURE = "pynn"
"""The metadata key of the architecture."""
ENSEMBLE = "pynn.ensemble"
"""The metadata key of the number of models in the file of a `pynn.Ensemble`."""
EXTRA_PREFIX = "."
"""Prefix of the names of a file's additional arrays; names of layers never begin with it."""
OPTIMIZER = f"{EXTRA_PREFIX}optimizer/"
"""Prefix of the names of an optimizer's arrays."""


def save(model: Layer, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
    """Write a model, its architecture and its state, as a safetensors file; ``model.save(path)`` does the same.

    The arrays have PyTorch's names. The metadata hold the architecture, as returned by ``get_config``, in JSON. `load` reads the file.
    The file also holds the loss of the last fit, unless it is a custom function, ``classes_``, and the class and the settings of the
    optimizer. So ``predict_proba``, ``evaluate`` and ``partial_fit`` of the loaded model behave like those of the saved one.

    Parameters
    ----------
    model : Layer
        A net or a layer.
    path : str or path
        The file to write; it is replaced atomically, see `save_file`.
    optimizer : bool
        Whether to store the arrays of the optimizer's state, so that ``partial_fit`` and ``train_on_batch`` of the loaded model give
        the same bits as those of the saved one. Without them, the file holds only the model's arrays, which PyTorch can load by name.
        The loaded model then continues with the same optimizer and settings, and warns if that optimizer has state.

    Raises
    ------
    TypeError
        If a layer's configuration is not plain JSON. A custom layer needs a ``get_config`` that returns the arguments of its class.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pynn, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> pynn.Sequential(pynn.Linear(4, 2, seed=0), "relu").save(path)
    >>> pynn.load(path)
    Sequential(Linear(in_features=4, out_features=2, bias=True), ReLU())
    """
    save_file(model.state_dict() | (model._extra_arrays() if optimizer else {}), path, {ARCHITECTURE: describe(model)})


def describe(model: Layer) -> str:
    """Return a model's architecture, frozen and shared parameters, and loss as JSON."""
    state = model._all_state()
    first = {id(a): name for name, a in reversed(state.items())}
    custom = {type(layer).__name__: type(layer).__module__ for layer in model.modules() if not type(layer).__module__.startswith("pynn.")}
    facts = {
        "version": 1,
        **({"modules": custom} if custom else {}),
        "model": {"class": type(model).__name__, **model.get_config()},
        "frozen": [name for name, p in model._all_parameters().items() if not p.requires_grad],
        "shared": {name: first[id(a)] for name, a in state.items() if first[id(a)] != name},
        **model._extra_state(),
    }
    try:
        return json.dumps(facts, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"save: get_config of a layer of this model must return plain JSON types: {error}") from None


def load(path: str | os.PathLike[str]) -> Any:
    """Return the model in a file that `save` wrote.

    Parameters
    ----------
    path : str or path
        The file. It may come from an untrusted source, because it holds data and no code. Classes of custom layers must be defined
        before the call.

    Returns
    -------
    Layer
        The model, of the class that was saved.

    Raises
    ------
    ValueError
        If the file is damaged, has no architecture (use `load_file` and ``load_state_dict`` then), or its arrays do not match the
        architecture.
    OSError
        If the file cannot be read.

    Examples
    --------
    See `save`.
    """
    arrays, metadata = load_file(path)
    name = os.fspath(path)
    if ENSEMBLE in metadata:
        raise ValueError(f"{name}: holds an ensemble; pynn.Ensemble.load reads it")
    if ARCHITECTURE not in metadata:
        raise ValueError(f"{name}: has arrays but no architecture; build the model and call load_state_dict(pynn.io.load_file(path)[0])")
    return build(metadata[ARCHITECTURE], arrays, name)


def build(text: str, given: Mapping[str, Array], path: str) -> Layer:
    """Build a model from the text of `describe` and the arrays."""
    arrays = {key: a for key, a in given.items() if not key.startswith(EXTRA_PREFIX)}
    elements = sum(a.size for a in arrays.values())
    try:
        facts = parsed(text)
        _check_modules(facts.get("modules", {}))
        _check_extent(facts["model"], elements)
        with skip_initial_values(2 * elements + 2**16):
            model = layer_from_config(facts["model"])
        for name, source in facts["shared"].items():
            _share(model, name, source)
        model.load_state_dict(arrays)
        parameters = model._all_parameters()
        for name in facts["frozen"]:
            parameters[name].requires_grad = False
        model._load_extra(facts, given)
    except MemoryError as error:
        raise MemoryError(f"{path}: not enough memory for its model with {elements} values") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        what = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise ValueError(f"{path}: cannot build a model from its architecture and arrays: {str(what)[:500]}") from error
    return model


def _check_modules(modules: Mapping[Any, Any]) -> None:
    """Raise ValueError if the class of a custom layer is not defined. Module names are only shown in the message, never imported."""
    for name, module in modules.items():
        if name not in Layer.classes:
            remedy = f"import {str(module)[:80]!r}, which defines it," if module != "__main__" else "define or import it"
            raise ValueError(f"unknown custom layer {str(name)[:80]!r}; {remedy} before pynn.load")


def parsed(text: str) -> Any:
    """Parse a JSON text of the metadata; raise ValueError if it is too large or an object has a duplicate key."""
    if len(text) > _LONGEST_JSON or text.count("{") + text.count("[") > _MOST_PARTS:
        limits = f"at most {_LONGEST_JSON} characters and {_MOST_PARTS} lists and objects are allowed"
        raise ValueError(f"its metadata are too large ({len(text)} characters); {limits}")
    return json.loads(text, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a duplicate key")
    return found


def _share(model: Layer, name: str, source: str) -> None:
    """Make two names of a model's state refer to one array."""
    (layer, mine, own), (_, theirs, its) = (_holder(model, path) for path in (name, source))
    if mine[own].data.shape != theirs[its].data.shape:
        raise ValueError(f"{name} and {source} cannot share an array: their shapes differ")
    mine[own] = theirs[its]
    layer._drop_plans()


def _holder(layer: Layer, path: str) -> tuple[Layer, dict[str, Any], str]:
    """Return the layer that owns an array of the state, the dict that holds it, and its name in that dict."""
    for name, child in layer._children().items():
        if path.startswith(f"{name}."):
            return _holder(child, path.removeprefix(f"{name}."))
    return layer, layer._parameters if path in layer._parameters else layer._buffers, path


def _check_extent(config: Any, elements: int) -> None:
    """Raise ValueError if an architecture is far larger than the arrays of its file."""
    left = 2**24 + 4 * elements
    for part in _parts(config):
        if any(isinstance(text, str) and len(text) > _LONGEST_TEXT for text in (part.values() if isinstance(part, dict) else part)):
            raise ValueError(f"the architecture has a string of more than {_LONGEST_TEXT} characters")
        if isinstance(part, dict):
            left -= sum(abs(n) for key, n in part.items() if type(n) is int and key != "seed")
        elif all(type(n) is int for n in part):
            left -= abs(math.prod(part))
        if left < 0:
            raise ValueError(f"the architecture requires far more than the file's {elements} values")
    if _layers(config, {}) > LAYER_LIMIT:
        raise ValueError(f"the architecture has more than {LAYER_LIMIT} layers")


def _layers(config: Any, shared: dict[int, int]) -> int:
    """Return how many layers a pass through the net uses; shared layers count once per use.

    ``shared`` collects the counts of shared layers by number.
    """
    if not isinstance(config, dict):
        return sum(_layers(part, shared) for part in config if isinstance(part, (dict, list)))
    if config.keys() == {SHARED}:
        return shared.get(config[SHARED], 0)
    if "steps" in config:
        each = [_layers(layer, shared) for layer in config["layers"]]
        count = sum(each[int(step["layer"])] for step in config["steps"])
    else:
        count = 1 + sum(_layers(part, shared) for part in config.values() if isinstance(part, (dict, list)))
    if SHARED in config:
        shared[config[SHARED]] = count
    return count


def _parts(config: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Yield every object and list of a JSON value."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (dict, list)):
            yield part
            waiting.extend(part.values() if isinstance(part, dict) else part)
