"""Statistics of a comparison: which differences between paired scores are real, and how large they may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_SEEDS = 6
"""Below this number of seeds no test of pairs reaches 5 %: with 5, the smallest p of a sign-flip test is 1/16."""
SIGN_FLIP_SEEDS = 8
"""The number of seeds from which sign-flip tests are used; with fewer, paired t tests with Holm's correction."""
MOST_SIGNS = 14
"""The largest number of seeds for which all sign patterns are used; with more, a subgroup of 2^14 of them."""
ROPE_OF_SHARES = 0.005
"""The default of ``rope`` for scores between 0 and 1: half a point of accuracy."""
POWER = 0.8
_MOST_SEEDS = 100_000
_BLOCK = 1024
"""The number of sign patterns per block, so that their sums fit in the cache."""
_MOST_KEPT = 64
"""The largest number of seeds whose sign patterns are cached."""
_TIE = 1e-10
"""Statistics that differ by less are treated as equal, since they differ only by rounding in the sums."""

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """The difference between the scores of two labels, seed by seed.

    Examples
    --------
    >>> from pynn.lab import analyze
    >>> scores = {"a": [0.90, 0.92, 0.91, 0.93, 0.92, 0.91], "b": [0.80, 0.83, 0.81, 0.82, 0.83, 0.80]}
    >>> (pair,) = analyze(scores).differences
    >>> pair.a, pair.b, round(pair.mean, 3), pair.low < pair.mean < pair.high
    ('a', 'b', 0.1, True)
    """

    a: str
    b: str
    mean: float
    """The mean of a's scores minus b's."""
    low: float
    """The lower end of the mean's confidence interval; all intervals hold simultaneously with probability 1 - alpha. NaN: no verdict."""
    high: float
    """The upper end."""
    p: float
    """The probability of a difference at least as large if both are equal, adjusted for the number of pairs. NaN: no verdict."""
    effect: float
    """The mean divided by the standard deviation of the differences; 0 if all differences are 0."""


@dataclass(frozen=True)
class Verdict:
    """The result of `analyze`: which labels differ, and which may be best. It is printed as a few sentences.

    Attributes
    ----------
    labels : tuple of str
        The labels, in the given order.
    means : tuple of float
        The mean score of each label.
    seeds : int
        The number of scores of each label.
    differences : tuple of Difference
        One record for each pair: ``a``, ``b``, ``mean``, ``low``, ``high``, ``p``, ``effect``.
    alpha : float
        The probability of at least one false difference when all labels are equal.
    rope : float or None
        The largest difference that does not matter; None: not given, for scores without a default.
    test_fraction : float or None
        As given to `analyze`.
    method : {'sign flips', 'Holm', 'none'}
        The test; 'none' with too few seeds.
    patterns : int
        The number of sign patterns in the test; 0 for other methods.
    exact : bool
        Whether all sign patterns were used.
    shares : bool
        Whether all scores lie between 0 and 1. Differences are then printed in points, that is hundredths.

    Examples
    --------
    >>> from pynn.lab import analyze
    >>> scores = {"a": [0.90, 0.92, 0.91, 0.93, 0.92, 0.91], "b": [0.80, 0.83, 0.81, 0.82, 0.83, 0.80]}
    >>> verdict = analyze(scores)
    >>> verdict.best, verdict.seeds, verdict.method
    (('a',), 6, 'Holm')
    """

    labels: tuple[str, ...]
    means: tuple[float, ...]
    seeds: int
    differences: tuple[Difference, ...]
    alpha: float
    rope: float | None
    test_fraction: float | None
    method: str
    patterns: int
    exact: bool
    shares: bool
    spreads: tuple[float, ...]
    """The standard deviation of each pair's differences; NaN with one seed."""

    @property
    def best(self) -> tuple[str, ...]:
        """The labels that may be best: those to which no other label is superior."""
        beaten = {pair.b if pair.mean > 0 else pair.a for pair in self.different}
        return tuple(label for label in self.labels if label not in beaten)

    @property
    def different(self) -> tuple[Difference, ...]:
        """The pairs that differ significantly: their adjusted p is at most alpha, and their interval lies on one side of 0."""
        return tuple(pair for pair in self.differences if pair.p <= self.alpha)

    @property
    def equivalent(self) -> tuple[Difference, ...]:
        """The pairs whose whole interval lies within -rope and rope."""
        if self.rope is None:
            return ()
        return tuple(pair for pair in self.differences if -self.rope <= pair.low and pair.high <= self.rope)

    @property
    def inflation(self) -> float:
        """The factor by which intervals are widened because test sets overlap (Nadeau and Bengio, 2003)."""
        return math.sqrt(1 + self.seeds * _overlap(self.test_fraction))

    @property
    def fewest_seeds(self) -> int:
        """The smallest number of seeds that allows a verdict at this alpha."""
        return _fewest(self.alpha)

    @cached_property
    def seeds_needed(self) -> int | None:
        """The number of seeds needed to decide the undecided pairs, which are neither different nor equivalent.

        With this number of seeds, a true difference of ``rope`` is found with 80 % power at the largest spread of the undecided
        pairs. If no pair is undecided, it is the number of seeds used. None if no number suffices because the test sets overlap,
        or if ``rope`` or the spread is unknown.
        """
        settled = {*self.different, *self.equivalent}
        open_pairs = [s for pair, s in zip(self.differences, self.spreads, strict=True) if pair not in settled]
        if not open_pairs:
            return self.seeds
        spread = max(open_pairs)
        if not self.rope or math.isnan(spread):
            return None
        return _seeds_needed(self.rope, spread, self.alpha / len(self.differences), _overlap(self.test_fraction), self.fewest_seeds)

    def sentences(self, lang: str = "en") -> list[str]:
        """Return the verdict as sentences, in English or Vietnamese (``lang="vi"``)."""
        from ._words import verdict_sentences

        return verdict_sentences(self, lang)

    def __str__(self) -> str:
        import textwrap

        return "\n".join(textwrap.fill(sentence, 79) for sentence in self.sentences())

    def to_pandas(self) -> Any:
        """Return the differences as a pandas.DataFrame with one row per pair.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("Verdict.to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.differences, columns=Difference._fields)

    def _repr_html_(self) -> str:
        from ._words import verdict_html

        return verdict_html(self)


def analyze(
    scores: Mapping[Any, ArrayLike] | Any,
    *,
    test_fraction: float | None = None,
    rope: float | None = None,
    alpha: float = 0.05,
) -> Verdict:
    """Determine which of several paired scores differ, by how much, and which may be best.

    Scores are paired: the i-th score of every label comes from the same seed, split and order of samples, so the test uses the
    differences for each seed. The probability of a false difference between equal labels is at most ``alpha`` for all pairs
    together. The test depends on the number of seeds:

    - 8 or more: sign flips (Westfall and Young's max-t). If two labels are equal, each difference is equally likely to have the
      opposite sign. The t statistics of all pairs are compared with the distribution of their maximum under all sign patterns,
      or with 15 or more seeds under a fixed subgroup of 16,384 of them, which keeps the level exact.
    - 6 or 7: paired t tests with Holm's correction, and Bonferroni intervals. An interval that contains 0 although Holm's test
      rejects equality is cut at 0, which is consistent with that test (Guilbaud, 2008).
    - Fewer: no verdict, since a sign-flip test of 5 differences cannot reach the 5 % level.

    The labels that may be best are those to which no other is superior (Hsu's multiple comparisons with the best).

    Parameters
    ----------
    scores : mapping of label to array_like, or pandas.DataFrame
        One score per seed for each label, in the same order; the columns of a data frame. Higher is better, so negate losses.
    test_fraction : float, optional
        The fraction of samples in the test set, if each seed draws another split of the same samples. Such splits overlap, so the
        variance of the mean is estimated as (1/n + test/train) times that of the differences (Nadeau and Bengio, 2003).
    rope : float, optional
        The largest difference that does not matter ("region of practical equivalence"). Default: 0.005, half a point of accuracy,
        if all scores lie between 0 and 1, otherwise none.
    alpha : float
        The probability of a false difference, from 0.001 to 0.5.

    Returns
    -------
    Verdict
        Its main attributes are ``differences``, ``best``, ``equivalent`` and ``seeds_needed``. It is printed as sentences.

    Raises
    ------
    ValueError
        If there are fewer than two labels, scores are not paired or not finite, or a number is out of range.
    ImportError
        If there are 6 or 7 seeds and scipy is not installed.

    References
    ----------
    P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993. S. Holm, 1979. J. C. Hsu, 1981.
    C. Nadeau and Y. Bengio, Inference for the generalization error, 2003. J. Hemerik and J. Goeman, Exact testing with random
    permutations, 2018 (on subgroups).

    Examples
    --------
    >>> import pynn.lab
    >>> relu = [0.971, 0.975, 0.969, 0.978, 0.973, 0.970, 0.976, 0.972]
    >>> tanh = [0.970, 0.976, 0.970, 0.977, 0.974, 0.969, 0.977, 0.971]
    >>> sigmoid = [0.960, 0.962, 0.957, 0.968, 0.961, 0.959, 0.963, 0.960]
    >>> verdict = pynn.lab.analyze({"relu": relu, "tanh": tanh, "sigmoid": sigmoid})
    >>> verdict.best
    ('relu', 'tanh')
    >>> [(pair.a, pair.b) for pair in verdict.equivalent]
    [('relu', 'tanh')]
    """
    labels, table = _table(scores)
    _check_share("test_fraction", test_fraction, 0, 1)
    _check_share("alpha", alpha, 0.0009999, 0.5000001)
    shares = bool(table.min() >= 0 and table.max() <= 1)
    if rope is None:
        rope = ROPE_OF_SHARES if shares else None
    elif not 0 < rope < math.inf:
        raise ValueError(f"rope: expected a number over 0, the largest difference that does not matter, got {rope!r}")
    places = np.array([*combinations(range(len(labels)), 2)])
    d = table[places[:, 0]] - table[places[:, 1]]
    n, overlap = d.shape[1], _overlap(test_fraction)
    d[np.abs(d) < 1e-14 * np.abs(table).max()] = 0.0  # equal scores, up to rounding
    mean = d.mean(axis=1)
    spread = d.std(axis=1, ddof=1) if n > 1 else np.full(len(d), math.nan)
    spread[spread < 1e-12 * np.abs(mean)] = 0.0
    error = spread * math.sqrt(1 / n + overlap)
    method, patterns, exact = "none", 0, False
    if n < _fewest(alpha):
        low = high = p = np.full(len(d), math.nan)
    elif n < SIGN_FLIP_SEEDS:
        method = "Holm"
        low, high, p = _holm(mean, error, n, alpha)
    else:
        method = "sign flips"
        patterns, exact = 2 * _pattern_count(n), n <= MOST_SIGNS
        low, high, p = _sign_flips(d, mean, error, math.sqrt(1 + n * overlap), alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(mean == 0, 0.0, mean / spread)
    pairs = zip(places.tolist(), *(a.tolist() for a in (mean, low, high, p, effect)), strict=True)
    differences = tuple(Difference(labels[i], labels[j], *numbers) for (i, j), *numbers in pairs)
    means = tuple(table.mean(axis=1).tolist())
    spreads = tuple(spread.tolist())
    return Verdict(labels, means, n, differences, float(alpha), rope, test_fraction, method, patterns, exact, shares, spreads)


# ---- arguments ---------------------------------------------------------------------------------------------------
def _table(scores: Any) -> tuple[tuple[str, ...], Floats]:
    """Return labels, and scores as an array (labels, seeds)."""
    if not hasattr(scores, "keys") or not hasattr(scores, "__getitem__"):
        kind = type(scores).__name__
        raise TypeError(f"scores: expected a mapping of labels to scores, or a frame with a column per label, got {kind}")
    keys = [*scores.keys()]
    labels = tuple(map(str, keys))
    if len(labels) < 2:
        raise ValueError(f"scores: expected at least 2 labels to compare, got {len(labels)}{''.join(f' ({key!r})' for key in labels)}")
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"scores: two labels are {label!r} as text; rename one")
    given = [scores[key] for key in keys]
    _check_index(labels, given)
    rows = [_row(label, row) for label, row in zip(labels, given, strict=True)]
    lengths = {label: len(row) for label, row in zip(labels, rows, strict=True)}
    if len({*lengths.values()}) > 1:
        listed = ", ".join(f"{label} has {n}" for label, n in lengths.items())
        raise ValueError(f"scores: expected one score per seed for every label, in the same order; {listed}")
    if not rows[0].size:
        raise ValueError("scores: expected at least one score per label, got none")
    return labels, np.stack(rows)


def _row(label: str, given: Any) -> Floats:
    try:
        row = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"scores[{label!r}]: expected numbers, one per seed; {error}") from None
    if row.ndim != 1:
        raise ValueError(f"scores[{label!r}]: expected one score per seed, shape (n,), got shape {row.shape}")
    wrong = np.flatnonzero(~np.isfinite(row))
    if wrong.size:
        what = f"score {wrong[0]} is {row[wrong[0]]}"
        raise ValueError(f"scores[{label!r}]: {what}; give a failed run the score of its predictions, or omit its seed for every label")
    return row


def _check_index(labels: Sequence[str], given: Sequence[Any]) -> None:
    """Raise if the indices of pandas series differ, since their rows are then not paired by position."""
    indexed = [(label, row.index) for label, row in zip(labels, given, strict=True) if hasattr(row, "index") and hasattr(row, "iloc")]
    for label, index in indexed[1:]:
        first, known = indexed[0]
        if not known.equals(index):
            raise ValueError(f"scores: the indices of {first!r} and {label!r} differ; expected the same seeds in the same order")


def _check_share(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low < value < high:
        raise ValueError(f"{name}: expected a number between {low:.3g} and {high:.3g}, got {value!r}")


def _overlap(test_fraction: float | None) -> float:
    """Return the ratio of test to training samples, or 0 if splits do not overlap."""
    return 0.0 if test_fraction is None else test_fraction / (1 - test_fraction)


def _fewest(alpha: float) -> int:
    """Return the smallest number of seeds n at which the smallest p of a sign-flip test, 2 / 2^n, is at most alpha."""
    return max(FEWEST_SEEDS, math.ceil(1 - math.log2(alpha) - 1e-12))


def scipy_stats(what: str) -> Any:
    """Return scipy.stats, or raise an error that names the extra."""
    try:
        import scipy.stats
    except ImportError as error:
        raise ImportError(f"{what} needs scipy: pip install 'pynn-c[lab]'") from error
    return scipy.stats


# ---- the two tests -----------------------------------------------------------------------------------------------
def _codes(n: int) -> NDArray[np.int64]:
    """Return a code for each seed: pattern k flips the seeds whose code has an odd number of bits in common with k.

    The patterns form a group, which contains all patterns for up to `MOST_SIGNS` seeds. The level of the max-t test is therefore
    exact; with random patterns it would hold only on average. Opposite patterns give the same |t|, so half of the group suffices.
    """
    units = [0, *(1 << k for k in range(min(n, MOST_SIGNS) - 1))]
    if n <= MOST_SIGNS:
        return np.array(units)
    others = np.setdiff1d(np.arange(1 << (MOST_SIGNS - 1)), units)
    rng = np.random.Generator(np.random.Philox(n))
    return np.concatenate([units, rng.choice(others, n - len(units), replace=n - len(units) > len(others))])


def _pattern_count(n: int) -> int:
    return 1 << (min(n, MOST_SIGNS) - 1)


def _signs(n: int, start: int, stop: int) -> Floats:
    """Return sign patterns, one per column; pattern 0 leaves the differences unchanged."""
    common = np.bitwise_count(_codes(n)[:, None] & np.arange(start, stop))
    return np.asarray(1.0 - 2.0 * (common & 1))


def _all_signs(n: int) -> Floats:
    signs = _signs(n, 0, _pattern_count(n))
    signs.flags.writeable = False
    return signs


_kept_signs = lru_cache(maxsize=4)(_all_signs)


def _sign_flips(d: Floats, mean: Floats, error: Floats, inflation: float, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Return simultaneous intervals and adjusted p of differences (pairs, seeds), by the largest t under sign flips.

    For p the observed differences are flipped, which is exact if the labels are equal. For intervals they are centred first, since
    the largest t of uncentred differences far from 0 hardly depends on their spread: for six normal labels, 30 deviations apart,
    with 20 seeds, 56 % of the uncentred 95 % intervals hold, and 95 % of the centred ones. If p and the interval disagree about 0,
    p decides and the interval is cut at 0.
    """
    n = d.shape[1]
    centred = np.where(error[:, None] > 0, d - mean[:, None], 0.0)
    null, around = _largest_t(d), _largest_t(centred)
    observed = _t_of(np.abs(_unit(d).sum(axis=1)), n) / inflation
    p = (len(null) - np.searchsorted(null, observed * (1 - _TIE) - _TIE)) / len(null)
    quantile = around[len(around) - 1 - math.floor(alpha * len(around) * (1 + _TIE))]
    width = error * quantile if math.isfinite(quantile) else np.where(error == 0, 0.0, math.inf)
    low, high, different = mean - width, mean + width, p <= alpha
    low = np.where(different & (mean > 0), np.maximum(low, 0.0), np.where(different, low, np.minimum(low, 0.0)))
    high = np.where(different & (mean < 0), np.minimum(high, 0.0), np.where(different, high, np.maximum(high, 0.0)))
    return low, high, p


def _unit(d: Floats) -> Floats:
    scale = np.sqrt(d.shape[1] * (d * d).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(d, scale, out=np.zeros_like(d), where=scale > 0))


def _largest_t(d: Floats) -> Floats:
    """Return the largest t of all pairs for each sign pattern, sorted.

    Flips do not change the sum of squares, so t = sqrt(n - 1) u / sqrt(1 - u^2) increases with u = |sum d| / sqrt(n sum d^2),
    and the largest t belongs to the largest u.
    """
    unit, n = _unit(d), d.shape[1]
    largest = np.empty(_pattern_count(n))
    for start in range(0, len(largest), _BLOCK):
        stop = min(start + _BLOCK, len(largest))
        signs = _kept_signs(n)[:, start:stop] if n <= _MOST_KEPT else _signs(n, start, stop)
        sums = unit @ signs
        np.abs(sums, out=sums).max(axis=0, out=largest[start:stop])
    return np.asarray(np.sort(_t_of(largest, d.shape[1])))


def _t_of(u: Floats, n: int) -> Floats:
    with np.errstate(divide="ignore"):
        rest = 1 - np.minimum(u, 1.0) ** 2
        return np.asarray(math.sqrt(n - 1) * u / np.sqrt(np.where(rest < 1e-14 * n, 0.0, rest)))


def _holm(mean: Floats, error: Floats, n: int, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Return simultaneous intervals and adjusted p from paired t tests with Holm's correction."""
    t = scipy_stats("analyze with 6 or 7 seeds").t
    with np.errstate(divide="ignore", invalid="ignore"):
        single = 2 * t.sf(np.where(mean == 0, 0.0, np.abs(mean) / error), n - 1)
    order, count = np.argsort(single, kind="stable"), len(mean)
    p = np.empty(count)
    p[order] = np.minimum(np.maximum.accumulate(single[order] * np.arange(count, 0, -1)), 1.0)
    width = error * t.isf(alpha / 2 / count, n - 1)
    low, high, rejected = mean - width, mean + width, p <= alpha
    low = np.where(rejected & (mean > 0), np.maximum(low, 0.0), low)
    high = np.where(rejected & (mean < 0), np.minimum(high, 0.0), high)
    return low, high, p


def _seeds_needed(difference: float, spread: float, alpha: float, overlap: float, fewest: int) -> int | None:
    """Return the number of seeds with which a two-sided paired t test at level alpha finds a difference with 80 % power."""
    if spread == 0:
        return fewest
    stats = scipy_stats("seeds_needed")

    def power(n: int) -> float:
        away = difference / spread / math.sqrt(1 / n + overlap)
        limit = stats.t.isf(alpha / 2, n - 1)
        return float(stats.nct.sf(limit, n - 1, away)) if away < 30 else 1.0

    few, many = fewest - 1, fewest
    while power(many) < POWER:
        if many >= _MOST_SEEDS:
            return None
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if power(middle) >= POWER else (middle, many)
    return many
