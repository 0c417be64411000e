"""Read and write checkpoint files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import io
from .._random import check_seed
from ..io.safetensors import load_metadata
from . import optimizer_file
from .health import Health
from .messages import describe_error

if TYPE_CHECKING:
    from ..layers._base import Layer
    from .checkpoint import Training
    from .objective import Scores

_TRAINING = "pynn.training"
"""The key of the metadata that stores the facts of a training run."""
_CALLBACKS = f"{io.EXTRA_PREFIX}callbacks/"
"""The prefix of the names of the arrays in the states of callbacks."""


# ---- writing -------------------------------------------------------------------------------------------------------------
def write(training: Training, path: str, epoch: int, batch: int, scores: Scores | None) -> None:
    """Write a checkpoint, see `Training.save`."""
    model, history = training.model, training.history
    settings = {name: value for name, value in training.optimizer.state_dict().items() if name not in ("state", "memory")}
    arrays, states = model._extra_arrays(), {}
    for owner, callback in training.named_callbacks():
        state = callback.state_dict()
        states[owner] = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
        arrays |= {f"{_CALLBACKS}{owner}/{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
    facts = {
        **training.facts,
        "version": 1,
        "seed": training.seed,
        "epoch": epoch,
        "batch": batch,
        "scores": scores,
        "history": history.history,
        "reported": history.reported,
        "health": [health.to_plain() for health in history.health],
        "last_health": None if model._monitor is None else model._monitor.report().to_plain(),
        "settings": settings,
        "callbacks": states,
        "random": {
            name: [_seed_value(layer), layer._ticks] for name, layer in _all_layers(model) if layer._ticks or _seed_value(layer)
        },
    }
    text = json.dumps(facts, default=_plain)
    io.save_file(model.state_dict() | arrays, path, {io.ARCHITECTURE: io.describe(model), _TRAINING: text})


def _plain(value: Any) -> Any:
    """Convert a NumPy number or array for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"Checkpoint: the state of a schedule or a callback holds {value!r}, which is not plain data")


def _all_layers(layer: Layer, name: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield a layer and all layers in it, by full names."""
    yield name, layer
    for child_name, child in layer._children().items():
        yield from _all_layers(child, f"{name}.{child_name}")


def _seed_value(layer: Layer) -> int:
    """Return the seed of a layer that draws random numbers, 0 for others."""
    return int(getattr(layer, "_seed_value", 0))


# ---- reading -------------------------------------------------------------------------------------------------------------
def seed_of(path: str | os.PathLike[str], seed: int | None) -> int:
    """Return the seed of the training run in a file, or raise if another seed is given."""
    facts = _facts(path, load_metadata(path))
    kept = facts.get("seed") if isinstance(facts, dict) else None
    if kept is None or (seed is not None and check_seed(seed) != kept):
        raise ValueError(f"resume_from: {path} does not fit this training: seed was {kept}, but is {seed} now")
    try:
        return check_seed(kept)
    except (TypeError, ValueError) as error:
        raise ValueError(f"resume_from: {path} is damaged: {error}") from None


def resume(training: Training, path: str | os.PathLike[str]) -> None:
    """Restore the state of a training run with the same settings from a file."""
    arrays, metadata = io.load_file(path)
    facts = _facts(path, metadata)
    try:
        before = {"drop_last": False} | facts  # files of pynn 0.1 do not hold it
        differing = [key for key, value in training.facts.items() if before.get(key) != value]
        if differing:
            key = differing[0]
            raise ValueError(f"{key} was {before.get(key)!r}, but is {training.facts[key]!r} now")
        _restore(training, facts, arrays)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"resume_from: {os.fspath(path)} does not fit this training: {describe_error(error)}") from error


def _facts(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> Any:
    """Return the facts of a training run from the metadata of a file."""
    if _TRAINING not in metadata:
        raise ValueError(f"resume_from: {path} is not a checkpoint; pass pynn.Checkpoint(path) to fit as a callback to write one")
    try:
        return io.parsed(metadata[_TRAINING])
    except (RecursionError, ValueError) as error:
        raise ValueError(f"resume_from: the training state in {path} cannot be read: {error}") from None


def _restore(training: Training, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Check all facts, then set the state of the training, its model and its optimizer."""
    state = optimizer_file.state_of({k.removeprefix(io.OPTIMIZER): a for k, a in arrays.items() if k.startswith(io.OPTIMIZER)})
    states = _callback_states(facts, arrays)
    epoch, batch = _count(facts["epoch"]), _count(facts["batch"])
    if batch >= max(1, training.batches_per_epoch()):
        raise ValueError(f"there is no batch {batch} in an epoch of {training.batches_per_epoch()}")
    scores = []
    for total, divisor, *counts in facts["scores"] or ():
        values, correct, rows, hits, not_one_hot = map(_count, counts)
        scores.append((float(total), float(divisor), values, correct, rows, hits, not_one_hot))
    history = {str(k): [float(v) for v in values] for k, values in facts["history"].items()}
    reported = {str(k): [_count(epoch) for epoch in epochs] for k, epochs in facts.get("reported", {}).items()}
    if any(len(epochs) != len(history[name]) for name, epochs in reported.items()):
        raise ValueError("its history has numbers without an epoch")
    reports, last = [Health.from_plain(one) for one in facts["health"]], facts["last_health"]
    health = None if last is None else Health.from_plain(last)
    random = {str(name): (check_seed(seed), _count(ticks)) for name, (seed, ticks) in facts["random"].items()}
    _count(facts["settings"]["steps"])

    model = training.model
    training.optimizer.load_state_dict({**facts["settings"], **state})
    model.load_state_dict({key: a for key, a in arrays.items() if not key.startswith(io.EXTRA_PREFIX)})
    for name, layer in _all_layers(model):
        seed, layer._ticks = random.get(name, (0, 0))
        if hasattr(layer, "_seed_value"):
            layer._seed_value = seed
    model._drop_plans()
    training.history.history.update(history)
    training.history.reported.update(reported)
    training.history.health, training.health = reports, health
    training.remembered = states
    training.epoch, training.batch = epoch, batch
    training.scores = tuple(scores) or None


def _callback_states(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the states of callbacks by class and number."""
    states = {str(owner): dict(state) for owner, state in facts["callbacks"].items()}
    for key, a in arrays.items():
        if key.startswith(_CALLBACKS):
            kind, number, name = key.removeprefix(_CALLBACKS).split("/", 2)
            states[f"{kind}/{number}"][name] = a
    return states


def _count(value: object) -> int:
    """Return a count from a file, or raise."""
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"expected a count, got {value!r}")
    return value
