"""The fixture `baseline`: values that are stored in a file beside the test and compared with those of later runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__, _core
from .._arrays import Array
from ..io._files import replacing

_RTOL = 1e-5
_MOST_NUMBERS = 1000
"""The largest size of an array whose numbers are stored."""
_FEWEST_SEEDS = 3
"""The number of seeds from which the spread of single values is estimated."""
_CONFIDENCE = 0.95


class Baseline:
    """Compares values of one test with stored ones.

    Parameters
    ----------
    path : path
        The file of the stored values.
    test : str
        The name of the test in the file, without the seed.
    seed : int or None
        The seed of the test.
    send : callable, optional
        Is called with each value as JSON instead of comparing it; `store` writes them.
    """

    def __init__(self, path: Path, test: str, seed: int | None, send: Callable[[str], None] | None) -> None:
        self.path, self.test, self._send = path, test, send
        self._run = "" if seed is None else str(seed)
        self._known: set[str] = set()
        self._read: dict[str, Any] | None = None

    def check(
        self,
        value: ArrayLike | Mapping[str, ArrayLike],
        name: str = "value",
        *,
        rtol: float | None = None,
        atol: float = 0.0,
        worse_by: float | None = None,
        mode: str = "max",
        exact: bool = False,
    ) -> None:
        """Compare a value with the stored one.

        Parameters
        ----------
        value : number, array_like or mapping of str to those
            The value. A mapping, such as `state_dict` of a model, is compared entry by entry.
        name : str
            The name of the value, if a test checks several.
        rtol, atol : float
            The value must be within ``atol + rtol * abs(stored)``; default: 1e-5 and 0.
        worse_by : float, optional
            The value, a number, must not be worse than the baseline by more than this, beyond the spread over the seeds. A number is
            compared with the stored values of all seeds of the test: it fails below their prediction interval less `worse_by`, with a
            probability of 5 % for all seeds together if nothing has changed. A sequence, one number per seed, is compared with the
            stored sequence by `pynn.lab.analyze`: it fails if its mean is significantly lower than that of the baseline less `worse_by`.
        mode : {'max', 'min'}
            With `worse_by`: whether greater or smaller values are better.
        exact : bool
            Whether the value must have the same bits. Since bits depend on the instruction set, a value is stored for each of them.

        Raises
        ------
        AssertionError
            If the value differs, or none is stored. The message names the file, and version and instruction set of both runs.
        ValueError
            If the name is used twice in a test, or arguments contradict each other.
        ImportError
            If `worse_by` needs scipy, and it is not installed.
        """
        __tracebackhide__ = True
        if isinstance(value, Mapping):
            if worse_by is not None:
                raise ValueError("worse_by: expected a number or a sequence of numbers as value, got a mapping")
            for key, one in value.items():
                self.check(one, f"{name}.{key}", rtol=rtol, atol=atol, exact=exact)
            return
        if exact + (worse_by is not None) + (rtol is not None or atol != 0) > 1:
            raise ValueError("check: exact, worse_by, and rtol with atol exclude each other")
        if mode not in ("max", "min"):
            raise ValueError(f"mode: expected 'max' or 'min', got {mode!r}")
        if name in self._known:
            raise ValueError(f"name: {name!r} is checked already in this test; give each value another name: check(value, 'loss')")
        self._known.add(name)
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"value: expected numbers, got {value!r}")
        if self._send is not None:
            where = {"path": str(self.path), "test": self.test, "name": name, "run": self._run}
            self._send(json.dumps(where | _stored(array, exact, name)))
        elif exact:
            self._check_bits(array, name)
        elif worse_by is not None:
            self._check_worse(array, name, worse_by, mode)
        else:
            self._check_near(array, name, _RTOL if rtol is None and not atol else rtol or 0.0, atol)

    # ---- the file -------------------------------------------------------------------------------------------------
    def _entry(self, name: str, kind: str) -> dict[str, Any]:
        """Return the stored runs of a value, or raise."""
        if self._read is None:
            self._read = _read(self.path)
        entry = self._read.get(self.test, {}).get(name, {}).get(kind)
        if not isinstance(entry, dict) or not entry:
            self._fail(f"no baseline is stored for {name}")
        return entry  # type: ignore[no-any-return]

    def _fail(self, text: str, origin: str = "") -> None:
        where = f"{self.path.parent.name}/{self.path.name}, {self.test}"
        now = f"; this run: pynn {__version__}, {_core.isa()}" if origin else ""
        raise AssertionError(f"{text}\n- baseline: {where}{origin}{now}\n- if this is intended, store the value: pytest --force-regen")

    # ---- the comparisons ------------------------------------------------------------------------------------------
    def _check_near(self, array: Array, name: str, rtol: float, atol: float) -> None:
        entry = self._entry(name, "values")
        if self._run not in entry:
            self._fail(f"no baseline is stored for {name} with seed {self._run}")
        one = entry[self._run]
        stored, origin = np.asarray(one["value"]), _origin(one)
        if stored.shape != array.shape:
            self._fail(f"{name}: the shape is {array.shape}, that of the baseline {stored.shape}", origin)
        far = ~np.isclose(array, stored, rtol=rtol, atol=atol, equal_nan=True)
        if far.any():
            allowed = f"atol + rtol * abs(stored), with rtol = {rtol:g}, atol = {atol:g}"
            self._fail(f"{name}: {_first(array, stored, far)}; allowed is a difference of {allowed}", origin)

    def _check_bits(self, array: Array, name: str) -> None:
        by_set = self._entry(name, "bits")
        isa = _core.isa()
        if isa not in by_set:
            first, runs = next(iter(by_set.items()))
            text = f"{name}: bits are stored for {' and '.join(by_set)}, and this run uses {isa}"
            self._fail(f"{text}; run with PYNN_ISA={first}, or store them too", _origin(next(iter(runs.values())), isa=first))
        if self._run not in by_set[isa]:
            self._fail(f"no baseline is stored for {name} with seed {self._run} on {isa}")
        one, now = by_set[isa][self._run], _bits(array)
        origin = _origin(one, isa=isa)
        if (one["dtype"], one["shape"]) != (now["dtype"], now["shape"]):
            given, was = (f"{some['dtype']} of shape {tuple(some['shape'])}" for some in (now, one))
            self._fail(f"{name}: the value is {given}, the baseline {was}", origin)
        if one["sha256"] != now["sha256"]:
            text = "the bits differ"
            if "hex" in one:
                stored = np.frombuffer(bytes.fromhex(one["hex"]), np.dtype(one["dtype"])).reshape(one["shape"])
                text = f"the bits differ: {_first(array, stored, _differing(array, stored))}"
            self._fail(f"{name}: {text}", origin)

    def _check_worse(self, array: Array, name: str, worse_by: float, mode: str) -> None:
        if not worse_by >= 0 or array.ndim > 1:
            raise ValueError(f"worse_by: expected 0 or more, and a number or a sequence of numbers as value; got {worse_by!r}, {array!r}")
        entry = self._entry(name, "values")
        sign = 1.0 if mode == "max" else -1.0
        one = entry.get(self._run) or next(iter(entry.values()))
        origin = _origin(one)
        if np.ndim(one["value"]) != array.ndim:
            given, was = ("sequence", "number") if array.ndim else ("number", "sequence")
            self._fail(f"{name}: the value is a {given}, and the baseline a {was}", origin)
        if array.ndim:
            text = _worse_sequence(array, np.asarray(one["value"], float), worse_by, sign)
        else:
            text = _worse_number(float(array), [float(run["value"]) for run in entry.values()], worse_by, sign)
        if text:
            self._fail(f"{name}: {text}", origin)


def _worse_number(value: float, stored: Sequence[float], worse_by: float, sign: float) -> str | None:
    """Describe why a number is worse than the stored ones, or return None."""
    mean = fmean(stored)
    noise, how = 0.0, "the stored value" if len(stored) == 1 else f"the mean of the {len(stored)} stored values"
    if len(stored) >= _FEWEST_SEEDS:
        from ..lab._analyze import scipy_stats

        n, spread = len(stored), stdev(stored)
        alpha = (1 - _CONFIDENCE) / n
        noise = float(scipy_stats("baseline.check with worse_by").t.isf(alpha, n - 1)) * spread * math.sqrt(1 + 1 / n)
        how = f"the mean of {n} seeds, {mean:.6g}, whose standard deviation {spread:.3g} allows {noise:.3g}"
    if sign * value >= sign * mean - worse_by - noise:
        return None
    missed = f"{value:.6g} is {'below' if sign > 0 else 'above'} the limit {mean - sign * (worse_by + noise):.6g}"
    return f"{missed}: {how if noise else f'{how}, {mean:.6g}'}, and worse_by = {worse_by:g}"


def _worse_sequence(values: Array, stored: NDArray[np.float64], worse_by: float, sign: float) -> str | None:
    """Describe why paired scores are worse than the stored ones, or return None."""
    from ..lab import analyze

    if values.shape != stored.shape:
        return f"{values.size} values, one per seed, and {stored.size} in the baseline"
    verdict = analyze({"this run": sign * values, "the baseline": sign * stored - worse_by}, alpha=1 - _CONFIDENCE)
    if verdict.method == "none":
        raise ValueError(f"value: {values.size} numbers; with worse_by a sequence needs at least {verdict.fewest_seeds}, one per seed")
    (pair,) = verdict.differences
    if not (pair.p <= verdict.alpha and pair.mean < 0):
        return None
    loss = sign * float(stored.mean() - values.mean())
    text = f"the mean of {values.size} seeds is {values.mean():.6g}, worse than {stored.mean():.6g} by {abs(loss):.3g}"
    return f"{text}, significantly more than worse_by = {worse_by:g} (paired test, p = {pair.p:.3g})"


# ---- stored values --------------------------------------------------------------------------------------------------
def _origin(one: Mapping[str, Any], isa: str | None = None) -> str:
    return f", stored by pynn {one['version']} on {isa or one['isa']}"


def _stored(array: Array, exact: bool, name: str) -> dict[str, Any]:
    if exact:
        return {"kind": "bits", "isa": _core.isa(), "stored": {"version": __version__, **_bits(array)}}
    if array.size > _MOST_NUMBERS:
        raise ValueError(f"value: {name} has {array.size:,} numbers, up to {_MOST_NUMBERS:,} can be stored; use exact=True, or its mean")
    if array.dtype.kind == "c":
        raise TypeError(f"value: {name} is complex; use exact=True, or store its real and imaginary parts")
    return {"kind": "values", "stored": {"version": __version__, "isa": _core.isa(), "value": array.tolist()}}


def _bits(array: Array) -> dict[str, Any]:
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = plain.tobytes()
    found = {"dtype": plain.dtype.str, "shape": [*array.shape], "sha256": hashlib.sha256(data).hexdigest()}
    return found | ({"hex": data.hex()} if array.size <= _MOST_NUMBERS else {})


def _differing(a: Array, b: Array) -> NDArray[np.bool_]:
    """Return where the bits of two arrays of one dtype differ."""
    x, y = (np.frombuffer(one.astype(one.dtype.newbyteorder("<")).tobytes(), np.uint8).reshape(one.size, -1) for one in (a, b))
    return np.asarray((x != y).any(axis=1).reshape(a.shape))


def _first(array: Array, stored: Array, differs: Array) -> str:
    """Describe the first element that differs."""
    if not array.ndim:
        return f"{array.item()!r} instead of {stored.item()!r}"
    at = tuple(map(int, np.argwhere(differs)[0]))
    return f"{int(differs.sum()):,} of {array.size:,} elements, the first at {at}: {array[at].item()!r} instead of {stored[at].item()!r}"


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a file of baselines: {error}; restore it, or delete it and run pytest --force-regen") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a file of baselines; restore it, or delete it and run pytest --force-regen")
    return content


def store(texts: Iterable[str]) -> list[Path]:
    """Write values to their files, in which those of other tests are kept, and return the files."""
    files: dict[Path, dict[str, Any]] = {}
    for text in texts:
        one = json.loads(text)
        path = Path(one["path"])
        content = files.setdefault(path, _read(path) if path not in files else {})
        runs = content.setdefault(one["test"], {}).setdefault(one["name"], {}).setdefault(one["kind"], {})
        if one["kind"] == "bits":
            runs = runs.setdefault(one["isa"], {})
        runs[one["run"]] = one["stored"]
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write((json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return sorted(files)
