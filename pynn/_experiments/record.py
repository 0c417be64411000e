"""The fixture `experiment`: results of a test, sent to the process that prints the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import numpy as np

_SETTINGS = ("mode", "test_fraction", "rope", "alpha")
"""The keyword arguments of the marker `experiment`."""


class Experiment:
    """Records the results of one test. A test that loops over seeds sets the attribute `seed` before it records.

    Parameters
    ----------
    name : str
        The experiment: results of one name are compared with each other.
    label : str
        What the results belong to, such as the parameters of the test without the seed.
    seed : int or None
        The seed of the test, by which results are paired.
    settings : mapping
        The keyword arguments of the marker.
    send : callable
        Is called with each record as JSON.
    """

    def __init__(self, name: str, label: str, seed: int | None, settings: Mapping[str, Any], send: Callable[[str], None]) -> None:
        self.name, self.label, self.seed, self._send = str(name), label, seed, send
        self._settings = _checked(settings)
        self._known: set[tuple[str, int | None, str]] = set()

    def record(self, label: str | None = None, /, **values: SupportsFloat) -> None:
        """Record results.

        Parameters
        ----------
        label : str, optional
            What the results belong to; default: the parameters of the test without the seed, or the name of the test.
        **values : number
            The results by name.

        Raises
        ------
        TypeError
            If a value is not a real number.
        ValueError
            If there are no values, or a value of this label and name is recorded already.
        """
        __tracebackhide__ = True
        label = self.label if label is None else str(label)
        if not values:
            raise ValueError("record: expected at least one value, such as record(accuracy=0.97)")
        numbers = {name: _number(name, value) for name, value in values.items()}
        for name in numbers:
            if (label, self.seed, name) in self._known:
                raise ValueError(f"record: {name} of {label!r} is recorded already in this test; give a label: record('...', {name}=...)")
        self._known |= {(label, self.seed, name) for name in numbers}
        self._send(json.dumps({"experiment": self.name, "label": label, "seed": self.seed, "values": numbers, "settings": self._settings}))


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "biuf":
        raise TypeError(f"record: {name} must be a real number, got {value!r}")
    return float(array)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the marker as plain data, or raise."""
    unknown = [name for name in settings if name not in _SETTINGS]
    if unknown:
        raise TypeError(f"experiment: unknown setting {unknown[0]!r}; known: {', '.join(_SETTINGS)}")
    mode = settings.get("mode") or {}
    if not isinstance(mode, Mapping) or any(direction not in ("min", "max") for direction in mode.values()):
        raise ValueError(f"experiment: mode must map names of values to 'min' or 'max', as mode={{'perplexity': 'min'}}, got {mode!r}")
    numbers = {name: float(settings[name]) for name in _SETTINGS[1:] if settings.get(name) is not None}
    return {"mode": dict(mode), **numbers}
