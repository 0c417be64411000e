"""Losses that are given by a formula as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from .._arrays import real_array
from .._compiled import Compiled, check_names, compiled
from ._base import _IN_CORE, Loss


class FormulaLoss(Loss):
    """A custom loss: a formula of each prediction p and its target t.

    ``FormulaLoss("(p - t)**2")`` is the mean squared error. The formula is in the language that docs/formulas.md describes. It is
    compiled and differentiated, and runs in C like the built-in losses. Files store it as text.

    Parameters
    ----------
    formula : str
        The value for one element, as a formula of p and t.
    reduction : {'mean', 'sum', 'none'}
        How the values, one per element, are reduced.
    **parameters : float
        The values of the parameters of the formula. They are fixed when the loss is created.

    Raises
    ------
    ValueError
        If the formula is invalid; the text points at the place. Also if `reduction` has another value, or a parameter is not a number.

    Examples
    --------
    >>> import pynn
    >>> loss = pynn.FormulaLoss("where(abs(p - t) < d, (p - t)**2 / 2, d * (abs(p - t) - d/2))", d=1.0)
    >>> float(loss([0.5, 3.0], [1.0, 1.0]))
    0.8125
    >>> loss.backward()
    array([-0.25,  0.5 ])
    """

    _row: Mapping[str, Any] = {
        **{"name": "", "cls": "FormulaLoss", "kind": "e", "target": "r", "takes": "", "metric": "n", "inputs": "input target"},
        **{"has_variance": False, "has_batchmean": False, "from_logits": ""},
    }

    def __init__(self, formula: str, *, reduction: str = "mean", **parameters: float) -> None:
        check_names(parameters, ("formula", "reduction", *dir(type(self))))
        values = {name: float(real_array(value, name).item()) for name, value in parameters.items()}
        super().__init__(values, reduction)
        self._text = formula
        _ = self._compiled
        if "x" not in values:  # rows of the table name the prediction x
            self._row = {**type(self)._row, "formula": re.sub(r"\bp\b", "x", formula)}

    @property
    def formula(self) -> str:
        """The formula."""
        return self._text

    @property
    def _compiled(self) -> Compiled:
        return compiled(self._text, ("p", "t"), tuple(self._values), tuple(self._values.items()), ())

    def _in_core(self, weight: Any, pos_weight: Any, each: bool) -> tuple[Any, ...]:
        return self._compiled.core, _IN_CORE[self.reduction], self._numbers, weight, pos_weight, each

    def __call__(self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Any:
        """Return the loss, and keep its gradient for ``backward``.

        Parameters
        ----------
        input, target : array_like
            Predictions and targets of one shape.
        sample_weight : array_like, optional
            One number per sample, or one per value, which multiplies value and gradient. A mean divides by the sum of their magnitudes.

        Raises
        ------
        ValueError
            If shapes do not fit, or the target holds a number that is not finite.
        TypeError
            If an array does not hold real numbers.
        """
        return self._run({"input": input, "target": target}, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"formula": self._text, **self._values, "reduction": self.reduction}

    def __repr__(self) -> str:
        parts = [repr(self._text), *(f"{name}={value!r}" for name, value in self._values.items()), f"reduction={self.reduction!r}"]
        return f"FormulaLoss({', '.join(parts)})"
