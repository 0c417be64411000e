"""Split data into training and test sets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._target import is_classes

Rows = NDArray[np.intp]


def train_test_split(
    *arrays: Any,
    test_size: float | None = None,
    train_size: float | None = None,
    random_state: int | np.random.RandomState | None = None,
    shuffle: bool = True,
    stratify: bool | ArrayLike | None = None,
    seed: int | None = 0,
) -> tuple[Any, ...]:
    """Split samples into a training and a test set, at random unless ``shuffle=False``.

    With ``random_state`` it gives the same sets, in the same order, as the function of scikit-learn with the same arguments. Without
    it, `seed` decides, classes are stratified unless told otherwise, and the rows keep their relative order.

    Parameters
    ----------
    *arrays : arrays, tables, columns or sparse matrices with the same number of rows
        What to split: inputs, targets, weights and so on, one sample per row.
    test_size : float or int, optional
        The fraction of the samples in the test set, between 0 and 1, or their number. Default: what `train_size` leaves, else 0.25.
    train_size : float or int, optional
        The same for the training set. Default: what `test_size` leaves.
    random_state : int or numpy.random.RandomState, optional
        The source of randomness of scikit-learn's function. An object is advanced by each call.
    shuffle : bool
        Whether to draw the test samples at random. If False, as for time series, the training set is followed by the test set.
        Without `random_state`, the test set is the last rows. `stratify` must then be omitted.
    stratify : array_like, bool or None
        The labels of the samples; an array of several columns combines them. Each label has the same fraction of its samples in both
        sets. True means the second array, False no labels. None means the second of two arrays if it holds classes, that is text,
        truth values or few whole numbers that repeat, or an array of integers; with `random_state`, None means no labels. A label
        with a single sample is an error with `random_state`, and goes to the training set otherwise.
    seed : int, optional
        The seed of the split if `random_state` is omitted; None draws a fresh one.

    Returns
    -------
    tuple
        A training and a test set for each array, such as ``X_train, X_test, y_train, y_test``. Tables, columns and sparse matrices
        keep their type, and everything else becomes an array. They are copies.

    Raises
    ------
    ValueError, TypeError
        If the arrays differ in length, a size is out of range or leaves a set empty, `stratify` has the wrong shape, requires
        ``shuffle=True`` or has labels with too few samples, or both `random_state` and `seed` are given.

    Examples
    --------
    >>> import pynn.datasets
    >>> X, y = pynn.datasets.load_digits()
    >>> X_train, X_test, y_train, y_test = pynn.datasets.train_test_split(X, y)
    >>> len(X_train), len(X_test)
    (1348, 449)
    >>> X_train, X_test = pynn.datasets.train_test_split(X, train_size=1000, random_state=0, stratify=y)
    >>> len(X_train), len(X_test)
    (1000, 797)
    """
    if not arrays:
        raise TypeError("train_test_split: expected at least one array")
    if random_state is not None and seed != 0:
        raise ValueError("seed and random_state are two ways to choose the split; give one of them")
    parts = [_splittable(array) for array in arrays]
    n = _rows(parts)
    labels = _labels(parts, n, stratify, automatic=random_state is None and shuffle)
    if labels is not None and not shuffle:
        which = "stratify=True" if stratify is True else "stratify"
        raise ValueError(f"{which} requires shuffle=True, because it draws samples from each class; omit stratify")
    if random_state is None:
        train, test = _seeded(n, test_size, train_size, labels, seed, shuffle)
    else:
        train, test = _like_sklearn(n, test_size, train_size, labels, _generator(random_state), shuffle)
    return tuple(_taken(part, rows) for part in parts for rows in (train, test))


# ---- arguments -------------------------------------------------------------------------------------------------------


def _splittable(array: Any) -> Any:
    """Return something with rows that `_taken` can take."""
    if hasattr(array, "tocsr"):
        return array.tocsr()
    return array if isinstance(array, np.ndarray) or _is_frame(array) else np.asarray(array)


def _is_frame(array: Any) -> bool:
    """Return whether an array is a table or a column of pandas, polars or a library like them."""
    return hasattr(array, "iloc") or (hasattr(array, "gather_every") and hasattr(array, "to_numpy"))


def _taken(array: Any, rows: Rows) -> Any:
    return array.iloc[rows] if hasattr(array, "iloc") else array[rows]


def _rows(parts: list[Any]) -> int:
    """Return the number of rows of all arrays."""
    shapes = [part.shape for part in parts]
    if () in shapes or len({shape[0] for shape in shapes}) != 1:
        listed = " and ".join(map(str, shapes)) if len(shapes) < 3 else ", ".join(map(str, shapes))
        names = "X and y" if len(shapes) == 2 else "all arrays"
        raise ValueError(f"{names} must have the same number of samples; got shapes {listed}")
    return int(shapes[0][0])


def _labels(parts: list[Any], n: int, stratify: Any, *, automatic: bool) -> Rows | None:
    """Return the label of each row as a number, or None without stratification."""
    given = isinstance(stratify, (bool, np.bool_))
    if (given and not stratify) or (stratify is None and not automatic):
        return None
    if given or stratify is None:
        if len(parts) < 2 or (stratify is None and len(parts) != 2):
            if stratify is None:
                return None
            raise ValueError("stratify=True needs the labels as the second array, or as stratify=y")
        y = np.asarray(parts[1]) if not hasattr(parts[1], "tocsr") else parts[1]
        if stratify is None and not _has_classes(y):
            return None
        if y.ndim != 1 or hasattr(y, "tocsr"):
            raise ValueError(f"stratify=True requires one label per sample; y has shape {y.shape} (pass stratify=False)")
    else:
        y = np.asarray(stratify)
        if y.ndim not in (1, 2) or len(y) != n:
            raise ValueError(f"stratify: expected the labels of {n} samples, got an array of shape {y.shape}")
    if y.ndim == 2:  # a row is one label; its text decides the order of labels, as in scikit-learn
        y = np.array([" ".join(map(str, row)) for row in y])
    return np.unique(y, return_inverse=True)[1].astype(np.intp, copy=False)


def _has_classes(y: Any) -> bool:
    """Return whether targets are classes; integers always are."""
    return not hasattr(y, "tocsr") and y.ndim == 1 and (y.dtype.kind != "f" or is_classes(np.unique(y), len(y)))


def _generator(random_state: Any) -> np.random.RandomState:
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)):
        raise TypeError(f"random_state: expected an integer, a numpy.random.RandomState or None, got {random_state!r}")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state: expected 0 to 2**32 - 1, got {random_state}")
    return np.random.RandomState(random_state)


def _size(name: str, size: Any, n: int) -> bool:
    """Check a size; return whether it is a fraction."""
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a fraction, a number of samples or None, got {size!r}")
    if isinstance(size, (int, np.integer)):
        if not 0 < size < n:
            raise ValueError(f"{name}={size} with {n} samples leaves the training or the test set empty")
        return False
    if not 0 < size < 1:
        raise ValueError(f"{name} must be between 0 and 1; got {size}")
    return True


def _too_many(test_size: Any, train_size: Any, n: int) -> ValueError:
    return ValueError(f"test_size={test_size} and train_size={train_size} are more than all {n} samples")


# ---- by seed ---------------------------------------------------------------------------------------------------------


def _seeded(n: int, test_size: Any, train_size: Any, labels: Rows | None, seed: int | None, shuffle: bool) -> tuple[Rows, Rows]:
    """Return the training and the test rows in ascending order; the test rows are drawn first."""
    shares = []
    for name, size in (("test_size", test_size), ("train_size", train_size)):
        shares.append(None if size is None else size if _size(name, size, n) else size / n)
    test_share, train_share = shares
    if test_share is None:
        test_share = 0.25 if train_share is None else 1 - train_share
    elif train_share is not None and test_share + train_share > 1 + 1e-9:
        raise _too_many(test_size, train_size, n)
    rng = np.random.default_rng(seed)
    test = np.zeros(n, bool)
    test[_drawn(np.arange(n), test_share, labels, rng, shuffle)] = True
    if test.all() or not test.any():
        name, size = ("test_size", test_size or 0.25) if test_size or not train_size else ("train_size", train_size)
        raise ValueError(f"{name}={size} with {n} samples leaves the training or the test set empty")
    rest = np.flatnonzero(~test)
    if test_size is not None and train_share is not None:
        left_out = max(len(rest) - round(n * train_share), 0) / len(rest)
        if left_out == 1:
            raise ValueError(f"train_size={train_size} with {n} samples leaves the training set empty")
        unused = _drawn(rest, left_out, None if labels is None else labels[rest], rng, shuffle)
        rest = np.setdiff1d(rest, unused if shuffle else rest[: len(unused)])
    return rest, np.flatnonzero(test)


def _drawn(rows: Rows, share: float, labels: Rows | None, rng: np.random.Generator, shuffle: bool) -> Rows:
    """Draw a fraction of some rows; the last of them without shuffling."""
    if not shuffle:
        return rows[len(rows) - round(len(rows) * share) :]
    if labels is None:
        return rows[rng.permutation(len(rows))[: round(len(rows) * share)]]
    return rows[_stratified(labels, share, rng)]


def _stratified(labels: Rows, share: float, rng: np.random.Generator) -> Rows:
    """Draw the same fraction of every class; the rounding error of one class is carried over to the next."""
    parts, due = [], 0.0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        due += share * len(members)
        take = min(round(due), len(members) - 1)
        due -= take
        parts.append(members[:take])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)


# ---- by random_state: the sets of scikit-learn -------------------------------------------------------------------------


def _like_sklearn(
    n: int, test_size: Any, train_size: Any, labels: Rows | None, rng: np.random.RandomState, shuffle: bool
) -> tuple[Rows, Rows]:
    """Return the rows of the two sets of scikit-learn's function."""
    n_train, n_test = _numbers(n, test_size, train_size)
    if not shuffle:
        return np.arange(n_train), np.arange(n_train, n_train + n_test)
    if labels is None:
        order = rng.permutation(n)
        return order[n_test : n_test + n_train], order[:n_test]
    counts = np.bincount(labels)
    if counts.min() < 2:
        raise ValueError("stratify: a label has a single sample, which cannot be in both sets; each label needs at least 2")
    for name, size in (("train_size", n_train), ("test_size", n_test)):
        if size < len(counts):
            raise ValueError(f"stratify: {name} is {size} samples, fewer than the {len(counts)} labels")
    trained = _shares(counts, n_train, rng)
    tested = _shares(counts - trained, n_test, rng)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    drawn = [rows[rng.permutation(len(rows))] for rows in members]
    train = np.concatenate([rows[:k] for rows, k in zip(drawn, trained, strict=True)])
    test = np.concatenate([rows[k : k + m] for rows, k, m in zip(drawn, trained, tested, strict=True)])
    return rng.permutation(train), rng.permutation(test)


def _numbers(n: int, test_size: Any, train_size: Any) -> tuple[int, int]:
    """Return the sizes of the two sets: fractions are rounded down for training and up for testing."""
    if test_size is None and train_size is None:
        test_size = 0.25
    n_test = None if test_size is None else math.ceil(test_size * n) if _size("test_size", test_size, n) else int(test_size)
    n_train = None if train_size is None else math.floor(train_size * n) if _size("train_size", train_size, n) else int(train_size)
    n_test = n - (n_train or 0) if n_test is None else n_test
    n_train = n - n_test if n_train is None else n_train
    if n_train + n_test > n:
        raise _too_many(test_size, train_size, n)
    if n_train < 1 or n_test < 1:
        raise ValueError(f"test_size={test_size} and train_size={train_size} with {n} samples leave the training or the test set empty")
    return n_train, n_test


def _shares(counts: NDArray[np.intp], draws: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Divide a number of draws among the labels in proportion to their counts.

    Draws left over by rounding down go to the labels with the largest remainders; equal ones are chosen at random.
    """
    exact = counts / counts.sum() * draws
    shares: NDArray[Any] = np.floor(exact)
    left, remainders = int(draws - shares.sum()), exact - shares
    for remainder in np.unique(remainders)[::-1] if left else ():
        equal = np.flatnonzero(remainders == remainder)
        chosen = rng.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
        if not left:
            break
    return shares.astype(np.intp)
