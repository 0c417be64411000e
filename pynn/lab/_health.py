"""Dead and saturated units of a whole net."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

import pynn

from ._record import unit_shares


class UnitHealth(NamedTuple):
    """The share of the hidden units that hardly learn, 0 to 1; no unit counts in both."""

    dead: float
    saturated: float


def unit_health(model: pynn.Sequential, X: NDArray[Any]) -> UnitHealth:
    """Return the share of the hidden units that are dead, and that are saturated, on the given samples.

    They are those of all elementwise activations together, as ``model.health(X)`` counts them, layer by layer:

    - *dead* when the activation's derivative is exactly 0 on every sample: no gradient passes, and it never changes
      again unless the layers before it do;
    - *saturated* when it is not dead, but on at least 95 % of the samples the derivative's size is below 5 % of the
      activation's largest derivative (taken over inputs from -20 to 20): it learns slowly if at all.

    Parameters
    ----------
    model : pynn.Sequential
        The net.
    X : array of shape (n, ...)
        The samples, as the model takes them.

    Returns
    -------
    UnitHealth
        ``(dead, saturated)``, both 0 when the model has no activation.

    Examples
    --------
    >>> import numpy as np
    >>> import pynn, pynn.lab
    >>> model = pynn.Sequential(pynn.Linear(2, 4), pynn.ReLU(), pynn.Linear(4, 1))
    >>> model[0].bias[:] = [-100, 0, 0, -100]
    >>> pynn.lab.unit_health(model, np.eye(2, dtype=np.float32)).dead >= 0.5
    True
    """
    return UnitHealth(*unit_shares(model.health(X)))
