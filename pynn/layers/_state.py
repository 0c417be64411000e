"""Reading states of other libraries: checkpoints, wrapper prefixes in names, and tensors that NumPy cannot convert."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .._dtypes import from_tensor

_CHECKPOINTS = ("state_dict", "model_state_dict", "model")
"""Entries that hold the model's state in checkpoints written as in PyTorch's tutorials or by Lightning."""
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Name components added by PyTorch's wrappers: DataParallel, torch.compile, FSDP and activation checkpointing."""
_COUNTS = ("n_averaged",)
"""Entries that ``torch.optim.swa_utils.AveragedModel`` adds to the model's state."""


class IncompatibleKeys(NamedTuple):
    """The names that `Layer.load_state_dict` could not match.

    Attributes
    ----------
    missing_keys : list of str
        Names of the layer's arrays that are not in the state, in the layer's order.
    unexpected_keys : list of str
        Names in the state that the layer does not have, in the state's order.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    def __str__(self) -> str:
        return repr(self)


def match_state(state: Any, own: Collection[str], optional: Collection[str]) -> tuple[dict[str, Any], IncompatibleKeys]:
    """Return the values of a state under a layer's names, and the names that do not match.

    Names in ``optional`` may be missing.
    """
    opened = _extract_state(state, own)
    given = _strip_wrappers(opened, own)
    as_given = dict(zip(given, opened, strict=True)) if len(given) == len(opened) else {}
    missing = [name for name in own if name not in given and name not in optional]
    unexpected = [as_given.get(name, name) for name in given if name not in own]
    return {name: from_tensor(a, name) for name, a in given.items() if name in own}, IncompatibleKeys(missing, unexpected)


def mismatch_error(unmatched: IncompatibleKeys, own: Collection[str]) -> KeyError:
    """Return the error for names that do not match; if they differ only by a prefix, it says how to remove it."""
    missing, unexpected = unmatched
    hint = ""
    parts = str(unexpected[0]).split(".") if unexpected else []
    for k in range(1, len(parts)):
        prefix = ".".join(parts[:k]) + "."
        bare = {str(name).removeprefix(prefix) for name in unexpected}
        if all(str(name).startswith(prefix) for name in unexpected) and {*missing} <= bare <= {*own}:
            hint = f"; the names begin with {prefix!r}: pass {{name.removeprefix({prefix!r}): a for name, a in state.items()}}"
    return KeyError(f"state: missing {missing}, unexpected {unexpected}{hint}")


def _extract_state(state: Any, own: Collection[str]) -> Mapping[Any, Any]:
    """Return the model's state inside a checkpoint, or ``state`` itself if it is not a checkpoint."""
    if not isinstance(state, Mapping):
        remedy = "pass pynn.io.load_file(path)[0]" if isinstance(state, (str, bytes, os.PathLike)) else "pass what state_dict() returns"
        if callable(getattr(state, "state_dict", None)):
            remedy = "pass its state_dict()"
        raise TypeError(f"state: expected a mapping from names to arrays, got {type(state).__name__}; {remedy}")
    parts = [name for name, value in state.items() if isinstance(value, Mapping) and name not in own]
    if not parts or any(name in state for name in own):
        return state
    found = next((name for name in _CHECKPOINTS if name in parts), None)
    if found is None:
        choice = " or ".join(f"state[{name!r}]" for name in parts[:8])
        raise ValueError(f"state: got a checkpoint with the entries {', '.join(map(str, state))[:200]}; pass the model's state: {choice}")
    return _extract_state(state[found], own)


def _strip_wrappers(state: Mapping[Any, Any], own: Collection[str]) -> Mapping[Any, Any]:
    """Return a state with the name components of wrapper modules removed."""
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
