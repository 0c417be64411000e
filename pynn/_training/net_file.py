"""The state of a net in a file besides its layers: losses of the last training, classes and optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import io
from . import optimizer_file
from .objective import checked_readings, losses_of, plain_losses

if TYPE_CHECKING:
    from .._arrays import Array
    from .net import Net


def facts_of(net: Net) -> dict[str, Any]:
    """Return the losses with their weights, the classes and the optimizer as plain data."""
    loss, counts = net._goal if net._goal is not None else (None, None)
    plain, counts = plain_losses(loss), counts if net._fitted is None else net._fitted.weights
    fitted = {} if plain is None else {"loss": plain, "loss_weights": counts, "targets": net._known_readings()}
    fitted |= {} if net.classes_ is None else {"classes": net.classes_.tolist()}
    return {"fitted": fitted} | ({} if net.optimizer is None else {"optimizer": optimizer_file.describe(net.optimizer, net)})


def arrays_of(net: Net) -> dict[str, Array]:
    """Return the arrays of the optimizer's state by their names in a file."""
    found = {} if net.optimizer is None else optimizer_file.arrays_of(net.optimizer)
    return {f"{io.OPTIMIZER}{name}": a for name, a in found.items()}


def restore(net: Net, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Set what `facts_of` and `arrays_of` returned when the net was saved."""
    if "optimizer" in facts:
        state = {name.removeprefix(io.OPTIMIZER): a for name, a in arrays.items() if name.startswith(io.OPTIMIZER)}
        found = optimizer_file.build(facts["optimizer"], state, net)
        net.optimizer, net._lost_optimizer = (None, found) if isinstance(found, str) else (found, None)
    fitted = facts.get("fitted", {})
    if "loss" in fitted:
        counts = fitted["loss_weights"]
        net._goal = losses_of(fitted["loss"]), None if counts is None else [float(w) for w in counts]
        net._readings = checked_readings(fitted.get("targets", []))
    if "classes" in fitted:
        net.classes_ = np.unique(np.asarray(fitted["classes"]))
        if net.classes_.dtype.kind not in "biufU":
            raise ValueError("its classes are neither numbers nor text")
