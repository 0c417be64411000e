"""States of other libraries: checkpoints around them, wrappers in their names, and tensors that NumPy does not take."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .._dtypes import from_tensor

_CHECKPOINTS = ("state_dict", "model_state_dict", "model")
"""Entries of PyTorch's checkpoints that hold a model's state, as its tutorials and Lightning write them."""
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that PyTorch's wrappers add: DataParallel, torch.compile, FSDP and activation checkpointing."""
_COUNTS = ("n_averaged",)
"""Entries that a wrapper adds beside the model's state: ``torch.optim.swa_utils.AveragedModel``."""


class IncompatibleKeys(NamedTuple):
    """The names that `Layer.load_state_dict` could not match.

    Attributes
    ----------
    missing_keys : list of str
        Names of the layer that the state lacks, in the layer's order.
    unexpected_keys : list of str
        Names of the state that the layer lacks, in the state's order.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    def __str__(self) -> str:
        return repr(self)


def matched(state: Any, own: Collection[str], optional: Collection[str]) -> tuple[dict[str, Any], IncompatibleKeys]:
    """Return the values of a state under a layer's names, and the names that do not match; ``optional`` ones may be missing."""
    opened = _opened(state, own)
    given = _unwrapped(opened, own)
    as_given = dict(zip(given, opened, strict=True)) if len(given) == len(opened) else {}
    missing = [name for name in own if name not in given and name not in optional]
    unexpected = [as_given.get(name, name) for name in given if name not in own]
    return {name: from_tensor(a, name) for name, a in given.items() if name in own}, IncompatibleKeys(missing, unexpected)


def mismatch(unmatched: IncompatibleKeys, own: Collection[str]) -> KeyError:
    """Return the error for names that do not match, with the remedy where all of them differ by a prefix."""
    missing, unexpected = unmatched
    hint = ""
    parts = str(unexpected[0]).split(".") if unexpected else []
    for k in range(1, len(parts)):
        prefix = ".".join(parts[:k]) + "."
        bare = {str(name).removeprefix(prefix) for name in unexpected}
        if all(str(name).startswith(prefix) for name in unexpected) and {*missing} <= bare <= {*own}:
            hint = f"; the names begin with {prefix!r}: give {{name.removeprefix({prefix!r}): a for name, a in state.items()}}"
    return KeyError(f"state: missing {missing}, unexpected {unexpected}{hint}")


def _opened(state: Any, own: Collection[str]) -> Mapping[Any, Any]:
    """Return the state in a checkpoint, or what was given."""
    if not isinstance(state, Mapping):
        remedy = "give pynn.io.load_file(path)[0]" if isinstance(state, (str, bytes, os.PathLike)) else "as state_dict() returns them"
        if callable(getattr(state, "state_dict", None)):
            remedy = "give its state_dict()"
        raise TypeError(f"state: expected arrays by name, got {type(state).__name__}; {remedy}")
    parts = [name for name, value in state.items() if isinstance(value, Mapping) and name not in own]
    if not parts or any(name in state for name in own):
        return state
    found = next((name for name in _CHECKPOINTS if name in parts), None)
    if found is None:
        choice = " or ".join(f"state[{name!r}]" for name in parts[:8])
        raise ValueError(f"state: is a checkpoint with the entries {', '.join(map(str, state))[:200]}; give the model's state: {choice}")
    return _opened(state[found], own)


def _unwrapped(state: Mapping[Any, Any], own: Collection[str]) -> Mapping[Any, Any]:
    """Return a state with the names that it would have without wrappers around the model or its parts."""
    ours = {part for name in own for part in name.split(".")}
    wrappers = {part for name in state if isinstance(name, str) for part in name.split(".")} & {*_WRAPPERS} - ours
    if not wrappers:
        return state
    found = {
        ".".join(part for part in name.split(".") if part not in wrappers) if isinstance(name, str) else name: value
        for name, value in state.items()
        if name not in _COUNTS or name in own
    }
    return found if len(found) >= len(state) - len(_COUNTS) else state
