"""pynn.lab.analyze: its tests and intervals against scipy and statsmodels, its error rate, and its text."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from pynn.lab import Verdict, analyze
from pynn.lab._analyze import _signs

Draw = Callable[[np.random.Generator, int, int], np.ndarray]
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, k, n: rng.normal(size=(k, n)),
    "t3": lambda rng, k, n: rng.standard_t(3, size=(k, n)),
    "unequal variances": lambda rng, k, n: rng.normal(size=(k, n)) * np.linspace(1, 5, k)[:, None],
    "ties": lambda rng, k, n: rng.binomial(50, 0.95, size=(k, n)) / 50,
}


def named(table: np.ndarray) -> dict[str, np.ndarray]:
    return {f"a{i}": row for i, row in enumerate(table)}


def scores(k: int, n: int, draw: str = "normal") -> np.ndarray:
    """Return scores around 0.9, of which the last label's are lower."""
    table = 0.9 + 0.01 * DRAWS[draw](np.random.default_rng([k, n]), k, n)
    table[-1] -= 0.03
    return table


def pairs(table: np.ndarray) -> np.ndarray:
    return np.array([table[i] - table[j] for i, j in combinations(range(len(table)), 2)])


def t_of(d: np.ndarray) -> np.ndarray:
    n = d.shape[-1]
    return np.abs(d.mean(axis=-1)) / (d.std(axis=-1, ddof=1) / math.sqrt(n))


def largest_t(d: np.ndarray) -> np.ndarray:
    """Return the largest t of all pairs under every sign pattern, by scipy."""

    def statistic(x: np.ndarray, axis: int) -> np.ndarray:
        signs = np.sign(np.moveaxis(x, axis, -1))  # of the numbers of the seeds
        with np.errstate(divide="ignore"):
            return np.asarray(t_of(signs[..., None, :] * d).max(axis=-1))

    numbers = np.arange(1.0, d.shape[1] + 1)
    options: dict[str, Any] = {"permutation_type": "samples", "vectorized": True, "n_resamples": np.inf, "alternative": "greater"}
    return np.asarray(scipy.stats.permutation_test((numbers,), statistic, **options).null_distribution)


# ---- agreement with scipy and statsmodels ------------------------------------------------------------------------------
@pytest.mark.parametrize(("k", "n"), [(2, 8), (3, 8), (6, 10), (4, 12)])
@pytest.mark.parametrize("draw", DRAWS)
def test_p_agrees_with_scipys_permutation_test(k: int, n: int, draw: str) -> None:
    table = scores(k, n, draw)
    d = pairs(table)
    null = largest_t(d)
    expected = [(null >= t * (1 - 1e-9)).mean() for t in t_of(d)]
    assert [pair.p for pair in analyze(named(table)).differences] == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("n", [8, 14, 15, 20, 100])
def test_sign_patterns_are_a_group_that_treats_seeds_alike(n: int) -> None:
    signs = np.hstack([_signs(n, 0, 2 ** (min(n, 14) - 1)) * way for way in (1, -1)])
    patterns = {tuple(column) for column in signs.T.astype(int)}
    assert (signs[:, 0] == 1).all()
    assert len(patterns) == signs.shape[1] == 2 ** min(n, 14)
    rng = np.random.default_rng(0)
    for i, j in rng.integers(0, signs.shape[1], (50, 2)):
        assert tuple((signs[:, i] * signs[:, j]).astype(int)) in patterns
    assert np.abs(signs @ signs.T - len(patterns) * np.eye(n)).max() == 0  # balanced, and pairwise orthogonal


@pytest.mark.parametrize("n", [15, 20])
def test_p_of_many_seeds_is_near_that_of_all_patterns(n: int) -> None:
    rng = np.random.default_rng(n)
    d = rng.normal(0.5, 1, n)
    options: dict[str, Any] = {"permutation_type": "samples", "vectorized": True, "n_resamples": 60_000, "rng": rng}
    expected = scipy.stats.permutation_test((d,), lambda x, axis: np.abs(np.mean(x, axis=axis)), alternative="greater", **options).pvalue
    assert analyze({"a": d, "b": np.zeros(n)}).differences[0].p == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("k", "n"), [(2, 8), (2, 9), (3, 8)])
def test_intervals_are_the_largest_t_of_centred_differences(k: int, n: int) -> None:
    table = scores(k, n)
    d = pairs(table)
    centred = d - d.mean(axis=1, keepdims=True)
    largest = sorted(
        max(abs(scipy.stats.ttest_1samp(row * np.array(signs), 0).statistic) for row in centred) for signs in product((1, -1), repeat=n)
    )
    limit = largest[len(largest) - 1 - math.floor(0.05 * len(largest))]
    for pair, row in zip(analyze(named(table)).differences, d, strict=True):
        width = limit * scipy.stats.sem(row)
        low, high = pair.mean - width, pair.mean + width
        if pair.p <= 0.05:
            low, high = (max(low, 0), high) if pair.mean > 0 else (low, min(high, 0))
        else:
            low, high = min(low, 0), max(high, 0)
        assert (pair.mean, pair.low, pair.high) == pytest.approx((row.mean(), low, high), rel=0, abs=1e-10)
        assert pair.effect == pytest.approx(row.mean() / row.std(ddof=1), abs=1e-10)


@pytest.mark.parametrize(("k", "n"), [(2, 6), (3, 6), (6, 7), (10, 7)])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_few_seeds_agree_with_holm_over_paired_t(k: int, n: int, alpha: float) -> None:
    table = scores(k, n)
    done = [scipy.stats.ttest_rel(table[i], table[j]) for i, j in combinations(range(k), 2)]
    expected = multipletests([one.pvalue for one in done], method="holm")[1]
    verdict = analyze(named(table), alpha=alpha)
    assert verdict.method == "Holm"
    assert [pair.p for pair in verdict.differences] == pytest.approx(expected, rel=0, abs=1e-10)
    for pair, one in zip(verdict.differences, done, strict=True):
        low, high = one.confidence_interval(1 - alpha / len(done))
        if pair.p <= alpha:
            low, high = (max(low, 0), high) if pair.mean > 0 else (low, min(high, 0))
        assert (pair.low, pair.high) == pytest.approx((low, high), rel=0, abs=1e-10)


@pytest.mark.parametrize("n", [7, 10])
def test_overlapping_splits_widen_by_nadeau_and_bengios_factor(n: int) -> None:
    table = scores(3, n)
    plain, wide = analyze(named(table)), analyze(named(table), test_fraction=0.25)
    factor = math.sqrt(1 + n / 3)
    assert wide.inflation == pytest.approx(factor)
    for a, b in zip(plain.differences, wide.differences, strict=True):
        assert b.p >= a.p
        if a.low not in (0, -0.0) and b.low != 0 and a.high != 0 and b.high != 0:
            assert b.high - b.low == pytest.approx(factor * (a.high - a.low))
    d = pairs(table)
    if n == 10:
        expected = [(largest_t(d) >= t / factor).mean() for t in t_of(d)]
        assert [pair.p for pair in wide.differences] == pytest.approx(expected, rel=0, abs=1e-10)
    if n == 7:
        single = [2 * scipy.stats.t.sf(abs(x.mean()) / (x.std(ddof=1) * math.sqrt(1 / n + 1 / 3)), n - 1) for x in d]
        assert [pair.p for pair in wide.differences] == pytest.approx(multipletests(single, method="holm")[1], rel=0, abs=1e-10)


@pytest.mark.parametrize(("k", "n", "rope"), [(2, 8, 0.005), (3, 10, 0.002), (6, 7, 0.01), (4, 4, 0.005)])
def test_seeds_needed_have_the_power_that_statsmodels_finds(k: int, n: int, rope: float) -> None:
    table = scores(k, n)
    table[-1] += 0.03
    verdict = analyze(named(table), rope=rope)
    count = len(verdict.differences)
    spread = max(
        x.std(ddof=1) for x, pair in zip(pairs(table), verdict.differences, strict=True) if pair not in verdict.different
    )
    needed = TTestPower().solve_power(rope / spread, alpha=0.05 / count, power=0.8, alternative="two-sided")
    assert verdict.seeds_needed == max(6, math.ceil(needed))


# ---- how often it errs --------------------------------------------------------------------------------------------------
def rate(draw: str, k: int, n: int, repeats: int, wrong: Callable[[Verdict], bool], shift: float = 0) -> float:
    rng = np.random.default_rng([k, n, 7])
    count = 0
    for _ in range(repeats):
        table = DRAWS[draw](rng, k, n)
        table[0] += shift
        count += wrong(analyze(named(table)))
    return count / repeats


@pytest.mark.parametrize(("k", "n"), [(2, 6), (10, 7), (2, 8), (6, 8), (10, 10), (2, 20)])
@pytest.mark.parametrize("draw", DRAWS)
def test_equal_labels_are_called_different_in_5_percent_at_most(draw: str, k: int, n: int) -> None:
    repeats = 2000
    assert rate(draw, k, n, repeats, lambda v: bool(v.different)) <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / repeats)


def test_a_difference_of_one_and_a_half_deviations_is_found_with_20_seeds() -> None:
    """In 9 of 10 comparisons of 6 labels, one of which is better by 1.5 deviations of the scores, it is better than another."""
    assert rate("normal", 6, 20, 200, lambda v: any(p.a == "a0" and p.mean > 0 for p in v.different), shift=1.5) >= 0.9


def test_intervals_hold_together_in_95_percent_also_between_labels_that_differ() -> None:
    shift, repeats = 10 * np.arange(4), 400
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(repeats):
        verdict = analyze(named(rng.normal(size=(4, 10)) + shift[:, None]))
        truth = [shift[i] - shift[j] for i, j in combinations(range(4), 2)]
        held += all(pair.low <= t <= pair.high for pair, t in zip(verdict.differences, truth, strict=True))
    assert held / repeats >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / repeats)


# ---- special scores -----------------------------------------------------------------------------------------------------
def test_equal_scores_have_no_difference() -> None:
    verdict = analyze({"a": [0.5] * 8, "b": [0.5] * 8})
    (pair,) = verdict.differences
    assert pair[2:] == (0, 0, 0, 1, 0)
    assert verdict.best == ("a", "b")
    assert verdict.equivalent == (pair,)
    assert verdict.seeds_needed == 8


@pytest.mark.parametrize("n", [6, 8, 20])
def test_a_constant_difference_is_certain(n: int) -> None:
    base = np.linspace(0.5, 0.6, n)
    verdict = analyze({"a": base, "b": base - 0.1, "c": base})
    first = verdict.differences[0]
    assert (first.mean, first.low, first.high) == pytest.approx((0.1, 0.1, 0.1))
    assert first.p <= 0.05
    assert first.effect == math.inf
    assert verdict.best == ("a", "c")


def test_order_and_unit_do_not_matter() -> None:
    table = scores(4, 10)
    first, second = analyze(named(table)), analyze({k: 1000 * v - 5000 for k, v in reversed(named(table).items())}, rope=5)
    assert first.best == tuple(reversed(second.best))
    for pair in second.differences:
        other = next(p for p in first.differences if {p.a, p.b} == {pair.a, pair.b})
        assert pair.p == other.p
        assert pair.mean == pytest.approx(-1000 * other.mean, abs=1e-8)
        assert (pair.low, pair.high) == pytest.approx((-1000 * other.high, -1000 * other.low), abs=1e-8)


def test_frames_are_scores_by_column() -> None:
    table = scores(3, 10)
    frame = pandas.DataFrame(named(table))
    assert analyze(frame) == analyze(named(table))
    shuffled = {"a0": frame["a0"], "a1": frame["a1"].iloc[::-1]}
    with pytest.raises(ValueError, match="the indices of 'a0' and 'a1' differ"):
        analyze(shuffled)


def test_verdict_is_a_frame_and_html() -> None:
    verdict = analyze(named(scores(3, 10)))
    frame = verdict.to_pandas()
    assert [*frame.columns] == ["a", "b", "mean", "low", "high", "p", "effect"]
    assert frame["p"].tolist() == [pair.p for pair in verdict.differences]
    page = analyze({"<b>": [0.5, 0.6] * 4, "&": [0.6, 0.5] * 4})._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        ({"a": [1.0] * 8}, {}, r"at least 2 labels to compare, got 1 \('a'\)"),
        ({}, {}, "at least 2 labels to compare, got 0"),
        ({"a": [1.0] * 8, "b": [1.0] * 7}, {}, "one score per seed for every label, in the same order; a has 8, b has 7"),
        ({"a": [], "b": []}, {}, "at least one score"),
        ({"a": [1.0, math.nan] * 4, "b": [1.0] * 8}, {}, r"scores\['a'\]: score 1 is nan; give a failed run the score"),
        ({"a": [1.0, 2] * 4, "b": [-math.inf] * 8}, {}, r"scores\['b'\]: score 0 is -inf"),
        ({"a": [[1.0]] * 8, "b": [1.0] * 8}, {}, r"expected one score per seed, shape \(n,\), got shape \(8, 1\)"),
        ({1: [1.0] * 8, "1": [1.0] * 8}, {}, "two labels are '1' as text"),
        ({"a": [1.0] * 8, "b": [1.0] * 8}, {"test_fraction": 1}, "test_fraction: expected a number between 0 and 1, got 1"),
        ({"a": [1.0] * 8, "b": [1.0] * 8}, {"alpha": 0}, r"alpha: expected a number between 0.001 and 0.5, got 0"),
        ({"a": [1.0] * 8, "b": [1.0] * 8}, {"rope": -1}, "rope: expected a number over 0"),
    ],
)
def test_wrong_scores_are_explained(given: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        analyze(given, **options)


def test_input_other_than_a_mapping_is_explained() -> None:
    with pytest.raises(TypeError, match="expected a mapping of labels to scores, or a frame with a column per label, got list"):
        analyze([[1.0], [2.0]])
    with pytest.raises(TypeError, match=r"scores\['a'\]: expected numbers, one per seed"):
        analyze({"a": ["x"], "b": [1.0]})


# ---- words --------------------------------------------------------------------------------------------------------------
def planted() -> Verdict:
    rng = np.random.default_rng(0)
    common = 0.97 + 0.003 * rng.normal(size=20)
    table = {name: common + 0.002 * rng.normal(size=20) for name in ("relu", "tanh", "gelu")}
    return analyze({**table, "sigmoid": common - 0.01 + 0.002 * rng.normal(size=20)})


def test_words_are_true_of_the_numbers() -> None:
    verdict = planted()
    lines = str(verdict).splitlines()
    assert max(map(len, lines)) <= 79
    spoken = " ".join(lines)
    assert verdict.best == ("relu", "tanh", "gelu")
    against = [pair for pair in verdict.differences if pair.b == "sigmoid"]
    low, high = next((p.low, p.high) for p in against if f"{p.a} is better than sigmoid" in spoken)
    said = spoken.split("is better than sigmoid by ")[1].split(" points (95 %, corrected for 6 pairs).")[0].split(" to ")
    assert float(said[0]) <= 100 * low < float(said[0]) + 0.1
    assert float(said[1]) - 0.1 < 100 * high <= float(said[1])
    inner = [pair for pair in verdict.differences if pair.b != "sigmoid"]
    bound = max(max(-pair.low, pair.high) for pair in inner)
    assert "relu, tanh and gelu may be best: 20 seeds cannot distinguish them; differences over" in spoken
    ruled_out = float(spoken.split("differences over ")[1].split(" points are ruled out")[0])
    assert ruled_out - 0.1 < 100 * bound <= ruled_out
    assert "relu, tanh and gelu are equivalent: every difference between them is within 0.5 points." in spoken
    assert "sign-flip max-t test of 6 pairs, with a subgroup of 16,384 sign patterns" in spoken


def test_too_few_seeds_give_no_verdict() -> None:
    verdict = analyze({"a": [0.90, 0.91, 0.90, 0.92, 0.91], "b": [0.1, 0.1, 0.1, 0.1, 0.1]})
    assert verdict.best == ("a", "b")
    assert not verdict.different
    assert not verdict.equivalent
    assert math.isnan(verdict.differences[0].p)
    assert str(verdict).startswith("No verdict is possible with 5 seeds; use at least 6.\nWith this spread, ")
    strict = analyze({"a": [0.9, 0.8] * 4, "b": [0.1] * 8}, alpha=0.001)
    assert str(strict).startswith("No verdict is possible with 8 seeds at alpha = 0.001; use at least 11.")
    assert "The spread of one seed is unknown" in str(analyze({"a": [0.5], "b": [0.6]}))


def test_one_pair_is_not_called_corrected() -> None:
    spoken = str(analyze({"a": [0.9, 0.91] * 4, "b": [0.8, 0.79] * 4}))
    assert "points (95 %).\na is best." in spoken
    assert "corrected" not in spoken


def test_scores_without_a_unit_have_no_default_rope() -> None:
    table = {"a": np.array([-3.0, -3.5] * 4), "b": np.array([-3.1, -3.4] * 4)}
    verdict = analyze(table)
    assert verdict.rope is None
    assert verdict.seeds_needed is None
    assert not verdict.equivalent
    assert "points" not in str(verdict)
    assert "rope, the largest difference that does not matter, is not given" in str(verdict).replace("\n", " ")
    assert "within 0.50." in str(analyze(table, rope=0.5))


def test_overlap_is_reported_and_may_leave_no_number_of_seeds() -> None:
    spoken = str(analyze(named(scores(6, 10)), test_fraction=0.25)).replace("\n", " ")
    assert "2.1 times wider because the test sets overlap (Nadeau and Bengio)" in spoken
    assert "No number of seeds finds a difference of 0.5 points" in spoken


def test_vietnamese_has_the_same_numbers() -> None:
    verdict = planted()
    english, vietnamese = (" ".join(verdict.sentences(lang)) for lang in ("en", "vi"))

    def numbers(text: str) -> list[str]:
        return sorted(word.strip(".,;()") for word in text.split() if any(c.isdigit() for c in word))

    assert numbers(english) == numbers(vietnamese)
    with pytest.raises(ValueError, match="unknown lang 'vn'"):
        verdict.sentences("vn")


# ---- scipy --------------------------------------------------------------------------------------------------------------
def test_scipy_is_needed_for_few_seeds_only() -> None:
    code = """
import sys
sys.modules["scipy"] = sys.modules["scipy.stats"] = None
from pynn.lab import analyze
table = {"a": [0.9, 0.8] * 4, "b": [0.1, 0.2] * 4}
assert analyze(table).best == ("a",)
assert "needs scipy: pip install" in str(analyze({"a": [0.9, 0.8] * 4, "b": [0.8, 0.9, 0.85, 0.85] * 2})).replace("\\n", " ")
try:
    analyze({k: v[:6] for k, v in table.items()})
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout == "analyze with 6 or 7 seeds needs scipy: pip install 'pynn-c[lab]'\n"
