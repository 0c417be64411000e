"""L-BFGS and Levenberg-Marquardt, which ask for the loss again and again within a step, and so are no rows of the table."""

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
    "line_search_fn: Literal['strong_wolfe']=None"
)
_CHECK = (
    "lr >= 0 and max_iter >= 0 and max_eval >= 0 and tolerance_grad >= 0 and tolerance_change >= 0 and 0 <= history_size <= 1000000 and "
    "line_search_fn in (None, 'strong_wolfe')"
)


_SETTINGS = 7
"""How many settings the core reads."""


class Solver(Optimizer):
    """The base of both: one group, and a memory of doubles instead of a state for each parameter."""

    _kind: int
    whole_batches = True
    """What `fit` takes for ``batch_size=None``: all rows."""

    def __init__(self, params: Iterable[Parameter] | None, values: dict[str, Any]) -> None:
        self._hyper.verify_settings(type(self).__name__, values)
        self._memory: Array | None = None
        self._settings = np.zeros(_SETTINGS)
        super().__init__(params, values)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError(f"{type(self).__name__}: there can be one group of parameters only")
        super().add_param_group(group)

    def _regroup(self, i: int, now: list[Parameter], before: set[Parameter]) -> None:
        super()._regroup(i, now, before)
        self._memory = None

    def _memory_size(self, n: int) -> int:
        """Return how many numbers are remembered of n parameters."""
        raise NotImplementedError

    def _pairs(self) -> list[tuple[Array, Array]]:
        """Return what is trained, and make room for what is remembered of it."""
        pairs = [(p.data, p.grad) for p in self.param_groups[0]["params"] if p.requires_grad]
        self._settings = writable(self._settings)
        size = self._memory_size(sum(p.size for p, _ in pairs))
        if self._memory is None or self._memory.size != size:
            self._memory = np.zeros(size)
        self._memory = writable(self._memory)
        return pairs

    def core_solver(self) -> tuple[Any, ...]:
        """Return what the core's training loop takes."""
        self.follow()
        self._check()
        pairs, self._given = self._pairs(), None
        self.begin_epoch()
        self._given = self._solved(), []
        return self._kind, self._settings, pairs, self._memory

    def _solved(self) -> list[Any]:
        """Return all arrays that the core holds on to, and the settings that size them."""
        return [*self._sizes(), *(a for p in self.param_groups[0]["params"] for a in (p.requires_grad, p.data, p.grad))]

    def _sizes(self) -> list[Any]:
        return []

    def outdated(self) -> bool:
        now = self._solved()
        return self._given is not None and (len(now) != len(self._given[0]) or not all(map(is_, now, self._given[0])))

    def core_groups(self, epoch: int = 0) -> list[tuple[Any, ...]]:
        """Return nothing: `core_solver` says it all."""
        self._epoch = epoch
        return []

    def begin_epoch(self, epoch: int = 0, *, is_current: bool = False) -> None:
        """Give the core settings as they are now."""
        super().begin_epoch(epoch, is_current=is_current)
        values = [self.param_groups[0][name] for name in self._hyper.defaults]
        self._settings[: len(values)] = [float(v) if isinstance(v, (int, float)) else v is not None for v in values]

    def _copy(self) -> Self:
        other = super()._copy()
        other._memory, other._settings = None if self._memory is None else self._memory.copy(), self._settings.copy()
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the settings and of the memory."""
        return {**super().state_dict(), "memory": None if self._memory is None else self._memory.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` of an optimizer over parameters of the same shapes returned."""
        super().load_state_dict(state)
        if "memory" not in state:
            raise ValueError(f"state: has no memory, which {type(self).__name__} goes by")
        self._memory = None if state["memory"] is None else np.array(state["memory"], np.float64)


class LBFGS(Solver):
    """L-BFGS (Liu and Nocedal, 1989): quasi-Newton steps from a memory of the last gradients, for full batches.

    In `fit` a step works on one batch, all rows unless ``batch_size`` says otherwise, and asks for its loss up to ``max_eval`` times.

    The direction is ``-H g`` with ``H`` the inverse Hessian that the last ``history_size`` steps suggest. All parameters are one vector,
    in double precision; there is one group.

    Parameters
    ----------
    params : iterable of Parameter, optional
        What to update.
    lr : float
        The length of a step, and where the line search begins.
    max_iter : int
        Iterations in a step.
    max_eval : int, optional
        Calls of the closure in a step; None: ``max_iter * 5 // 4``.
    tolerance_grad, tolerance_change : float
        A step ends when no gradient is larger, or loss and parameters change less.
    history_size : int
        How many steps are remembered; if it is changed, the memory begins anew.
    line_search_fn : {None, 'strong_wolfe'}
        Steps of ``lr``, or a search for one that satisfies the strong Wolfe conditions.

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
    ) -> None:
        values: dict[str, Any] = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        values |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size}
        values["line_search_fn"] = line_search_fn
        super().__init__(params, values)

    def _memory_size(self, n: int) -> int:
        return _core.lbfgs_memory(n, int(self.param_groups[0]["history_size"]))

    def _sizes(self) -> list[Any]:
        return [self.param_groups[0]["history_size"]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Go on by up to ``max_iter`` iterations.

        Parameters
        ----------
        closure : callable
            Computes the gradients, all of them anew, and returns the loss.

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
            return _core.lbfgs(pairs, self._memory, tolerances, counts, group["line_search_fn"] is not None, closure)


class LevenbergMarquardt(Solver):
    """Levenberg-Marquardt: damped Gauss-Newton steps for small nets and squared errors, in `fit` alone.

    With ``r`` all residuals (prediction less target) and ``J`` their Jacobian, a step solves ``(J'J + mu I) d = -J'r``. It is taken if
    the loss falls; ``mu`` then shrinks by up to 3 as the fall agrees with the linear model's, and otherwise grows by 2, 4, 8, ... until it
    does. A step takes all rows in one batch; an epoch is a step.

    Parameters
    ----------
    params : iterable of Parameter, optional
        What to update.
    damping : float
        The first ``mu``, times the largest element of the diagonal of ``J'J``.
    max_tries : int
        How many ``mu`` a step tries; if the loss falls with none, the parameters stay.

    Raises
    ------
    ValueError
        If a setting is out of range, or there is more than one group. In `fit` if a loss is not `MSELoss`, there are more than 2048
        parameters, of which it keeps a matrix, a batch is not all rows, or a layer is another in training (dropout, batch norm).

    Notes
    -----
    Jacobian and equations are in double precision whatever the net is in: a net in float32 computes its rows in a copy of itself. Only one
    with a layer written in Python cannot, and stalls early: ``sin(6 x)`` on [-1, 1] by 16 tanh units is met with a loss of 2e-3 after
    160 steps, and otherwise with 7e-7. There make the layers with ``dtype="float64"``.

    Measured: the training loss after 0.2 s on one thread in float64, the median of three seeds, beside `LBFGS` with its line search and
    `Adam` with a rate of 0.01 in batches of 32. A sine by 16 tanh units: 2e-11, 3e-6, 6e-5. Friedman's first function of five inputs, 500
    rows, 16 units: 5e-7, 1e-5, 3e-4. The diabetes data, 8 units, where the noise decides: 0.24, 0.26, 0.25. So it pays where a small net
    shall meet a smooth function closely, and hardly on noise, which it fits sooner too: validate.

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
        raise RuntimeError("LevenbergMarquardt needs every residual and its gradient, which only fit gives it; call model.fit")
