"""L-BFGS, which asks for the loss again and again within a step, and so is no row of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from . import _core
from ._layer import Parameter
from ._optimizer import Optimizer
from ._tables import parse_parameters

_TEXT = "lr=1.0, max_iter: int=20, max_eval: int=25, tolerance_grad=1e-7, tolerance_change=1e-9, history_size: int=100, line_search_fn=None"
_CHECK = (
    "lr >= 0 and max_iter >= 0 and max_eval >= 0 and tolerance_grad >= 0 and tolerance_change >= 0 and 0 <= history_size <= 1000000 and "
    "line_search_fn in (None, 'strong_wolfe')"
)


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal, 1989): quasi-Newton steps from a memory of the last gradients, for full batches.

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
        How many steps are remembered.
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
        self._hyper.verify_scalars("LBFGS", values)
        self._memory: np.ndarray[Any, np.dtype[np.float64]] | None = None
        super().__init__(params, values)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: there can be one group of parameters only")
        super().add_param_group(group)

    def core_groups(self, epoch: int = 0) -> list[tuple[Any, ...]]:
        """Raise: the training loop has no closure to offer."""
        raise ValueError("LBFGS asks for the loss several times a step, which fit does not give it; use opt.step(closure) in a loop")

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
        group = self.param_groups[0]
        pairs = [(p.data, p.grad) for p in group["params"] if p.requires_grad]
        size = _core.lbfgs_memory(sum(p.size for p, _ in pairs), int(group["history_size"]))
        if self._memory is None:
            self._memory = np.zeros(size)
        self.steps += 1
        tolerances = group["lr"], group["tolerance_grad"], group["tolerance_change"]
        counts = group["max_iter"], group["max_eval"], group["history_size"]
        return _core.lbfgs(pairs, self._memory, tolerances, counts, group["line_search_fn"] is not None, closure)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the settings and of the memory."""
        return {**super().state_dict(), "memory": None if self._memory is None else self._memory.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` of an optimizer over parameters of the same shapes returned."""
        super().load_state_dict(state)
        self._memory = None if state["memory"] is None else np.array(state["memory"], np.float64)
