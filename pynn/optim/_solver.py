"""L-BFGS and Levenberg-Marquardt, which evaluate the loss repeatedly within a step and so have no row in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, Self

import numpy as np

from .. import _core
from .._arrays import Array, writable
from .._graph import Parameter
from .._tables import parse_parameters
from ._base import Optimizer

_TEXT = (
    "lr=1.0, max_iter: int=20, max_eval: int=25, tolerance_grad=1e-7, tolerance_change=1e-9, history_size: int=100, "
    "line_search_fn: Literal['strong_wolfe']=None, first_step: Literal['unit']=None"
)
_CHECK = (
    "lr >= 0 and max_iter >= 0 and max_eval >= 0 and tolerance_grad >= 0 and tolerance_change >= 0 and 0 <= history_size <= 1000000 and "
    "line_search_fn in (None, 'strong_wolfe') and first_step in (None, 'unit')"
)


_SETTINGS = 8
"""The number of settings that the core reads."""


class Solver(Optimizer):
    """Base class of both: one parameter group, and an array of doubles as memory instead of a state for each parameter."""

    _kind: int
    whole_batches = True
    """``batch_size=None`` of ``fit`` means all rows."""

    def __init__(self, params: Iterable[Parameter] | None, values: dict[str, Any]) -> None:
        self._hyper.verify_settings(type(self).__name__, values)
        self._memory: Array | None = None
        self._settings = np.zeros(_SETTINGS)
        super().__init__(params, values)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError(f"{type(self).__name__}: only one parameter group is possible")
        super().add_param_group(group)

    def _regroup(self, i: int, now: list[Parameter], before: set[Parameter]) -> None:
        super()._regroup(i, now, before)
        self._memory = None

    def _memory_size(self, n: int) -> int:
        """Return the size of the memory for n parameters."""
        raise NotImplementedError

    def _pairs(self) -> list[tuple[Array, Array]]:
        """Return the arrays of the trained parameters with their gradients, and allocate the memory for them."""
        pairs = [(p.data, p.grad) for p in self.param_groups[0]["params"] if p.requires_grad]
        self._settings = writable(self._settings)
        size = self._memory_size(sum(p.size for p, _ in pairs))
        if self._memory is None or self._memory.size != size:
            self._memory = np.zeros(size)
        self._memory = writable(self._memory)
        return pairs

    def core_solver(self) -> tuple[Any, ...]:
        """Return the description of the solver for the core's training loop."""
        self.follow()
        self._check()
        pairs, self._given = self._pairs(), None
        self.begin_epoch()
        self._given = self._solved(), []
        return self._kind, self._settings, pairs, self._memory

    def _solved(self) -> list[Any]:
        """Return all arrays that the core holds, and the settings that determine their sizes."""
        return [*self._sizes(), *(a for p in self.param_groups[0]["params"] for a in (p.requires_grad, p.data, p.grad))]

    def _sizes(self) -> list[Any]:
        return []

    def outdated(self) -> bool:
        now = self._solved()
        return self._given is not None and (len(now) != len(self._given[0]) or not all(map(is_, now, self._given[0])))

    def core_groups(self, epoch: int = 0) -> list[tuple[Any, ...]]:
        """Return no groups; the core takes `core_solver` instead."""
        self._epoch = epoch
        return []

    def begin_epoch(self, epoch: int = 0, *, is_current: bool = False) -> None:
        """Update the settings that the core reads."""
        super().begin_epoch(epoch, is_current=is_current)
        values = [self.param_groups[0][name] for name in self._hyper.defaults]
        self._settings[: len(values)] = [float(v) if isinstance(v, (int, float)) else v is not None for v in values]

    def _copy(self) -> Self:
        other = super()._copy()
        other._memory, other._settings = None if self._memory is None else self._memory.copy(), self._settings.copy()
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the settings and of the memory."""
        return {**super().state_dict(), "memory": None if self._memory is None else self._memory.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from ``state_dict`` of an optimizer of parameters with the same shapes."""
        super().load_state_dict(state)
        if "memory" not in state:
            raise ValueError(f"state: expected a key 'memory', which {type(self).__name__} needs")
        self._memory = None if state["memory"] is None else np.array(state["memory"], np.float64)


class LBFGS(Solver):
    """L-BFGS (Liu and Nocedal, 1989): quasi-Newton steps from a memory of the last gradients, for full batches.

    In `fit` a step uses one batch, which is all rows unless ``batch_size`` is given, and evaluates its loss up to ``max_eval`` times.

    The direction is ``-H g``, where ``H`` approximates the inverse Hessian from the last ``history_size`` steps. All parameters form one
    vector in double precision, and there is one parameter group.

    Parameters
    ----------
    params : iterable of Parameter, optional
        The parameters to update.
    lr : float
        The step length, or the initial one of the line search.
    max_iter : int
        The largest number of iterations in a step.
    max_eval : int, optional
        The largest number of evaluations of the loss in a step; None: ``max_iter * 5 // 4``.
    tolerance_grad, tolerance_change : float
        A step ends when no element of the gradient is larger than the first, or the loss and parameters change by less than the second.
    history_size : int
        The number of past steps that are kept; changing it clears the memory.
    line_search_fn : {None, 'strong_wolfe'}
        None: steps of length ``lr``; 'strong_wolfe': a line search for a step that satisfies the strong Wolfe conditions.
    first_step : {None, 'unit'}
        The first step is ``lr`` times the gradient, divided by the sum of the magnitudes of its elements (None, as in PyTorch) or by
        its norm ('unit', as in SciPy), if that is over 1.

    Raises
    ------
    ValueError
        If a setting is out of range, or there is more than one group.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> p = pynn.Parameter(np.array([-1.5, 2.0]))
    >>> opt = pynn.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def rosenbrock():
    ...     x, y = p.data
    ...     p.grad[...] = -2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)
    ...     return (1 - x) ** 2 + 100 * (y - x**2) ** 2
    >>> for _ in range(3):
    ...     loss = opt.step(rosenbrock)
    >>> p.data.round(4)
    array([1., 1.])
    """

    _kind = 0
    _row: Mapping[str, Any] = {"name": "lbfgs", "cls": "LBFGS", "states": "", "numbers": ""}
    _hyper = parse_parameters(_TEXT, _CHECK)

    def __init__(
        self,
        params: Iterable[Parameter] | None = None,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        first_step: str | None = None,
    ) -> None:
        values: dict[str, Any] = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        values |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size}
        values |= {"line_search_fn": line_search_fn, "first_step": first_step}
        super().__init__(params, values)

    def _memory_size(self, n: int) -> int:
        return _core.lbfgs_memory(n, int(self.param_groups[0]["history_size"]))

    def _sizes(self) -> list[Any]:
        return [self.param_groups[0]["history_size"]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to ``max_iter`` iterations.

        Parameters
        ----------
        closure : callable
            Computes all gradients, overwriting the previous ones, and returns the loss.

        Returns
        -------
        float
            The loss before the step.
        """
        if not self.bound:
            raise RuntimeError("LBFGS.step needs parameters: LBFGS(model.parameters())")
        if not callable(closure):
            raise TypeError(f"LBFGS.step needs a closure that computes gradients and returns the loss, got {closure!r}")
        self.follow()
        self._check()
        group, pairs = self.param_groups[0], self._pairs()
        self.steps += 1
        self._used_lr = None
        tolerances = group["lr"], group["tolerance_grad"], group["tolerance_change"]
        counts = group["max_iter"], group["max_eval"], group["history_size"]
        with _core.Writing(self._gates()):
            flags = group["line_search_fn"] is not None, group["first_step"] is not None
            return _core.lbfgs(pairs, self._memory, tolerances, counts, flags, closure)


class LevenbergMarquardt(Solver):
    """Levenberg-Marquardt: damped Gauss-Newton steps for small nets and squared errors, only in `fit`.

    With the residuals ``r`` (prediction minus target) of all rows and their Jacobian ``J``, a step solves ``(J'J + mu I) d = -J'r``. If the
    loss decreases, the step is taken and ``mu`` is divided by up to 3, depending on how well the decrease agrees with the linear model.
    Otherwise ``mu`` is multiplied by 2, 4, 8, ... until the loss decreases. A step uses all rows in one batch, so an epoch is one step.

    Parameters
    ----------
    params : iterable of Parameter, optional
        The parameters to update.
    damping : float
        The initial ``mu``, relative to the largest element of the diagonal of ``J'J``.
    max_tries : int
        How many values of ``mu`` a step tries; if none decreases the loss, the parameters stay unchanged.

    Raises
    ------
    ValueError
        If a setting is out of range, or there is more than one group. Also in `fit`, if a loss is not `MSELoss`, there are more than
        2048 parameters (it stores a square matrix of that size), a batch is not all rows, or a layer behaves differently in training
        (dropout, batch norm).

    Notes
    -----
    The Jacobian and the equations are computed in double precision, for a float32 net in a float64 copy of it. This is not possible for
    nets with layers written in Python, where float32 stalls early: fitting ``sin(6 x)`` on [-1, 1] with 16 tanh units, the loss after 160
    steps is 2e-3 instead of 7e-7. Create the layers of such nets with ``dtype="float64"``.

    Measured training loss after 0.2 s on one thread in float64 (median of three seeds), compared with `LBFGS` with line search and with
    `Adam` at a rate of 0.01 in batches of 32. A sine, 16 tanh units: 2e-11, 3e-6, 6e-5. Friedman's first function of five inputs, 500
    rows, 16 units: 5e-7, 1e-5, 3e-4. The diabetes data, which are noisy, 8 units: 0.24, 0.26, 0.25. It is worth using where a small net
    must fit a smooth function closely. On noisy data the gain is small and overfitting starts earlier, so validate.

    References
    ----------
    Madsen, K., Nielsen, H. B. and Tingleff, O. (2004). Methods for non-linear least squares problems. IMM, DTU.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 8, dtype="float64", seed=0), "tanh", pynn.Linear(8, 1, dtype="float64", seed=1))
    >>> hist = model.fit(X, np.sin(4 * X), loss="mse", optimizer="levenberg_marquardt", epochs=100)
    >>> hist.history["loss"][-1] < 1e-4
    True
    """

    _kind = 1
    _row: Mapping[str, Any] = {"name": "levenberg_marquardt", "cls": "LevenbergMarquardt", "states": "", "numbers": ""}
    _hyper = parse_parameters("damping=1e-3, max_tries: int=20", "damping > 0 and 1 <= max_tries <= 1000")

    def __init__(self, params: Iterable[Parameter] | None = None, damping: float = 1e-3, max_tries: int = 20) -> None:
        super().__init__(params, {"damping": damping, "max_tries": max_tries})

    def _memory_size(self, n: int) -> int:
        return 2

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Raise: a step needs residuals, which only `fit` has."""
        raise RuntimeError("LevenbergMarquardt needs every residual and its gradient, which only fit computes; call model.fit")
