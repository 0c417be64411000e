"""Statistics of a comparison: which differences between paired scores are real, and how large they may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas

FEWEST_SEEDS = 6
"""Below this number of seeds no test of pairs reaches 5 %: with 5, the smallest p of a sign-flip test is 1/16."""
SIGN_FLIP_SEEDS = 8
"""From this number on differences are judged by sign flips, below by Holm's correction of paired t tests."""
MOST_SIGNS = 14
"""Up to this number of seeds all sign patterns are compared, beyond a subgroup of 2^14 of them."""
ROPE_OF_SHARES = 0.005
"""The default of ``rope`` for scores between 0 and 1: half a point of accuracy."""
POWER = 0.8
_MOST_SEEDS = 100_000
_BLOCK = 1024
"""So many sign patterns at a time, whose sums stay in the cache."""
_MOST_KEPT = 64
"""The patterns of up to so many seeds are kept for the next call."""
_TIE = 1e-10
"""Statistics that differ by less are equal: they differ in the order of summation only."""

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """The difference between the scores of two labels, seed by seed."""

    a: str
    b: str
    mean: float
    """Of a's score minus b's."""
    low: float
    """Lower end of the interval for that mean; all intervals hold at the same time with probability 1 - alpha. NaN: no verdict."""
    high: float
    """Upper end."""
    p: float
    """Probability of so large a difference between equals, adjusted for the number of pairs. NaN: no verdict."""
    effect: float
    """The mean divided by the standard deviation of the differences; 0 where all of them are 0."""


@dataclass(frozen=True)
class Verdict:
    """What paired scores can tell apart; see `analyze`. Printed as a few sentences.

    Attributes
    ----------
    labels : tuple of str
        What was compared, in the given order.
    means : tuple of float
        The mean score of each.
    seeds : int
        The number of scores of each label.
    differences : tuple of Difference
        A record per pair: ``a``, ``b``, ``mean``, ``low``, ``high``, ``p``, ``effect``.
    alpha : float
        The probability of at least one false difference when all labels are equal.
    rope : float or None
        Differences up to this size do not matter; None: not given, and scores that have no default.
    test_fraction : float or None
        As given to `analyze`.
    method : {'sign flips', 'Holm', 'none'}
        The test; 'none' with too few seeds.
    patterns : int
        How many sign patterns the test compared, 0 for other methods.
    exact : bool
        Whether those were all patterns.
    shares : bool
        Whether all scores lie between 0 and 1; differences are then printed in points, hundredths.
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
        """The labels that may be best: those than which no other label is better."""
        beaten = {pair.b if pair.mean > 0 else pair.a for pair in self.different}
        return tuple(label for label in self.labels if label not in beaten)

    @property
    def different(self) -> tuple[Difference, ...]:
        """The pairs that differ: their adjusted p is at most alpha, and their interval is on one side of 0."""
        return tuple(pair for pair in self.differences if pair.p <= self.alpha)

    @property
    def equivalent(self) -> tuple[Difference, ...]:
        """The pairs whose whole interval lies within -rope and rope."""
        if self.rope is None:
            return ()
        return tuple(pair for pair in self.differences if -self.rope <= pair.low and pair.high <= self.rope)

    @property
    def inflation(self) -> float:
        """How many times wider the intervals are because test parts overlap (Nadeau and Bengio, 2003)."""
        return math.sqrt(1 + self.seeds * _overlap(self.test_fraction))

    @property
    def fewest_seeds(self) -> int:
        """The smallest number of seeds with which any verdict is possible at this alpha."""
        return _fewest(self.alpha)

    @cached_property
    def seeds_needed(self) -> int | None:
        """The number of seeds that would decide the pairs that are still open.

        With so many seeds a true difference of ``rope`` would be found in 80 % of comparisons, at the largest spread of the open
        pairs: those neither different nor equivalent. The number of seeds itself where no pair is open; None where no number
        suffices, because the test parts overlap, or where ``rope`` or the spread is unknown.
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

    def to_pandas(self) -> pandas.DataFrame:
        """Return the differences as a pandas.DataFrame, a row per pair.

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
    """Tell which of several paired scores differ, by how much, and which may be best.

    Scores are paired: the i-th score of every label comes from the same seed, split and order of samples, so what counts are the
    differences seed by seed. The probability that any of the equal labels is called different is at most ``alpha`` for all pairs
    together:

    - from 8 seeds on by sign flips (Westfall and Young's max-t): if two labels are equal, each difference is as likely to have the
      opposite sign. The t statistics of all pairs are compared with the distribution of the largest of them under all sign
      patterns, from 15 seeds on under a fixed subgroup of 16,384 of them, which keeps the level exact;
    - with 6 or 7 seeds by Holm's correction of paired t tests, with Bonferroni's intervals. An interval that reaches across 0
      although Holm's test rejects equality ends at 0, which is compatible with that test (Guilbaud, 2008);
    - with fewer there is no verdict: a sign-flip test of 5 differences cannot reach 5 %.

    The labels that may be best are those than which no other is better (Hsu's multiple comparisons with the best).

    Parameters
    ----------
    scores : mapping of label to array_like, or pandas.DataFrame
        For each label one score per seed, in the same order; of a frame the columns. Higher is better: pass losses negated.
    test_fraction : float, optional
        The share of samples in the test part, where each seed draws its own split of the same samples. Such splits overlap, so the
        variance of the mean is taken as (1/n + test/train) times that of the differences (Nadeau and Bengio, 2003).
    rope : float, optional
        The largest difference that does not matter ("region of practical equivalence"). Default: 0.005, half a point of accuracy,
        if all scores lie between 0 and 1, otherwise none.
    alpha : float
        The probability of a false verdict, from 0.001 to 0.5.

    Returns
    -------
    Verdict
        ``.differences``, ``.best``, ``.equivalent``, ``.seeds_needed``; sentences when printed.

    Raises
    ------
    ValueError
        If there are fewer than two labels, scores that are not paired or not finite, or a number out of range.
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
    d[np.abs(d) < 1e-14 * np.abs(table).max()] = 0.0  # rounding of scores that are equal
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
            raise ValueError(f"scores: more than one label reads {label!r}; rename one")
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
        raise ValueError(f"scores[{label!r}]: {what}; score a failed training as what it predicts, or leave its seed out for every label")
    return row


def _check_index(labels: Sequence[str], given: Sequence[Any]) -> None:
    """Refuse pandas series whose indices differ: their rows are not paired by position."""
    indexed = [(label, row.index) for label, row in zip(labels, given, strict=True) if hasattr(row, "index") and hasattr(row, "iloc")]
    for label, index in indexed[1:]:
        first, known = indexed[0]
        if not known.equals(index):
            raise ValueError(f"scores: the indices of {first!r} and {label!r} differ; expected the same seeds in the same order")


def _check_share(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low < value < high:
        raise ValueError(f"{name}: expected a number between {low:.3g} and {high:.3g}, got {value!r}")


def _overlap(test_fraction: float | None) -> float:
    """Return the ratio of test to training samples, 0 where splits do not overlap."""
    return 0.0 if test_fraction is None else test_fraction / (1 - test_fraction)


def _fewest(alpha: float) -> int:
    """Return with how many seeds the smallest p of a sign-flip test, 2 / 2^n, reaches alpha."""
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
    """Return a number for each seed: pattern k flips those whose number has an odd number of bits in common with k.

    The patterns form a group, all of them up to `MOST_SIGNS` seeds, so a test by their largest t has exactly its level, as a test by
    patterns that are drawn at random has on average only. Opposite patterns give the same |t|, so half of the group suffices.
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
    """Return sign patterns, one per column; number 0 is that of the observed differences."""
    common = np.bitwise_count(_codes(n)[:, None] & np.arange(start, stop))
    return np.asarray(1.0 - 2.0 * (common & 1))


@lru_cache(maxsize=4)
def _kept_signs(n: int) -> Floats:
    signs = _signs(n, 0, _pattern_count(n))
    signs.flags.writeable = False
    return signs


def _sign_flips(d: Floats, mean: Floats, error: Floats, inflation: float, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Return simultaneous intervals and adjusted p of differences (pairs, seeds), by the largest t under sign flips.

    For p the differences are flipped as they are, which is exact where labels are equal. For intervals they are centred first: the
    largest t of uncentred differences that are far from 0 shows little of their spread (of six normal labels, each 30 deviations
    from the next, 56 % of such intervals of 95 % held with 20 seeds, 95 % of the centred ones). Where the two disagree about 0, p
    decides and the interval ends at 0.
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

    Flips leave the sum of squares as it is, so t = sqrt(n - 1) u / sqrt(1 - u^2) increases with u = |sum d| / sqrt(n sum d^2),
    and the largest t is that of the largest u.
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
    """Return simultaneous intervals and adjusted p, by paired t tests with Holm's correction."""
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
    """Return how many seeds find a difference with a two-sided paired t test at level alpha in 80 % of comparisons."""
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
