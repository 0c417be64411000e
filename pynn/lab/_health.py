"""Dead and saturated units of a net."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

import pynn

from ._record import unit_shares


class UnitHealth(NamedTuple):
    """The fractions of hidden units that are dead and saturated; no unit counts as both.

    Examples
    --------
    >>> from pynn.lab import UnitHealth
    >>> UnitHealth(dead=0.25, saturated=0.0).dead
    0.25
    """

    dead: float
    saturated: float


def unit_health(model: pynn.Sequential, X: NDArray[Any]) -> UnitHealth:
    """Return the fractions of hidden units that are dead, and that are saturated, on the given samples.

    All elementwise activations are counted together, as ``model.health(X)`` counts them for each layer:

    - A unit is *dead* if the derivative of its activation is exactly 0 on every sample. No gradient passes through it, and it
      does not change unless the layers before it do.
    - A unit is *saturated* if it is not dead, but on at least 95 % of the samples the magnitude of the derivative is below 5 %
      of the largest derivative of the activation (for inputs from -20 to 20). It learns slowly, if at all.

    Parameters
    ----------
    model : pynn.Sequential
        The net.
    X : array of shape (n, ...)
        The samples, as in ``model.predict``.

    Returns
    -------
    UnitHealth
        ``(dead, saturated)``, both 0 if the model has no activation.

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
