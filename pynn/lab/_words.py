"""The sentences of a verdict, in English and Vietnamese."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from .._tables import unknown_name

if TYPE_CHECKING:
    from ._analyze import Difference, Verdict

LANGUAGES = ("en", "vi")
_MOST_PAIRS = 4
"""The largest number of pairs that a sentence lists."""

_TEXT = {
    "en": {
        "and": " and ",
        "points": "{} points",
        "few": "No verdict is possible with {n} {seeds}; use at least {fewest}.",
        "few_alpha": "No verdict is possible with {n} {seeds} at alpha = {alpha:g}; use at least {fewest}.",
        "needed_few": "With this spread, {needed} seeds are needed to find a difference of {rope} with 80 % power.",
        "unknown": "The spread of one seed is unknown, and so is the number of seeds needed to find a difference of {rope}.",
        "none": "No statistically significant difference was found.",
        "better": "{a} is better than {b} by {low} to {high} ({level}{pairs}).",
        "better_up": "{a} is better than {b} by up to {high} ({level}{pairs}).",
        "corrected": ", corrected for {} pairs",
        "pair": "{} pair",
        "pairs": "{} pairs",
        "maybe": "{labels} may be best: {n} seeds cannot distinguish them; differences over {bound} are ruled out.",
        "maybe_any": "{labels} may be best: {n} seeds cannot distinguish them.",
        "best": "{labels} is best.",
        "all_equal": "{labels} are equivalent: every difference between them is within {rope}.",
        "equal": "Equivalent, within {rope}: {pairs}.",
        "more": "{} and {} more pairs",
        "unequal": "No pair is shown to be equivalent within {rope}.",
        "no_rope": "Equivalence is not tested, because rope, the largest difference that does not matter, is not given.",
        "needed": "{needed} seeds are needed to decide the remaining pairs: to find a difference of {rope} with 80 % power.",
        "never": "No number of seeds finds a difference of {rope} with 80 % power, because the test sets overlap; use more data.",
        "no_scipy": "Computing the number of seeds that find a difference of {rope} needs scipy: pip install 'pynn-c[lab]'.",
        "flips": "Method: sign-flip max-t test of {pairs}, with all {patterns} sign patterns.",
        "drawn": "Method: sign-flip max-t test of {pairs}, with a subgroup of {patterns} sign patterns.",
        "holm": "Method: paired t tests with Holm's correction for {pairs}.",
        "overlap": "Intervals are {times:.1f} times wider because the test sets overlap (Nadeau and Bengio).",
        "headers": "a|b|mean|low|high|p|effect",
        "caption": "Differences of mean scores, a minus b",
    },
    "vi": {
        "and": " và ",
        "points": "{} điểm",
        "few": "Chưa thể kết luận với {n} seed; cần ít nhất {fewest}.",
        "few_alpha": "Chưa thể kết luận với {n} seed ở alpha = {alpha:g}; cần ít nhất {fewest}.",
        "needed_few": "Với độ phân tán này, cần {needed} seed để phát hiện chênh lệch {rope} với xác suất 80 %.",
        "unknown": "Một seed không cho biết độ phân tán, nên chưa biết cần bao nhiêu seed để phát hiện chênh lệch {rope}.",
        "none": "Không tìm thấy khác biệt có ý nghĩa thống kê.",
        "better": "{a} tốt hơn {b} từ {low} đến {high} ({level}{pairs}).",
        "better_up": "{a} tốt hơn {b}, nhiều nhất {high} ({level}{pairs}).",
        "corrected": ", đã hiệu chỉnh cho {} cặp",
        "pair": "{} cặp",
        "pairs": "{} cặp",
        "maybe": "{labels} đều có thể tốt nhất: {n} seed không phân biệt được chúng; loại trừ chênh lệch trên {bound}.",
        "maybe_any": "{labels} đều có thể tốt nhất: {n} seed không phân biệt được chúng.",
        "best": "{labels} tốt nhất.",
        "all_equal": "{labels} tương đương: mọi chênh lệch giữa chúng không quá {rope}.",
        "equal": "Tương đương, không quá {rope}: {pairs}.",
        "more": "{} và {} cặp nữa",
        "unequal": "Chưa chứng minh được cặp nào tương đương (không quá {rope}).",
        "no_rope": "Chưa cho rope (chênh lệch lớn nhất không đáng kể), nên không kết luận về sự tương đương.",
        "needed": "Cần {needed} seed để phân định các cặp còn lại, tức là phát hiện chênh lệch {rope} với xác suất 80 %.",
        "never": "Dù dùng bao nhiêu seed cũng không phát hiện được chênh lệch {rope} với xác suất 80 %, vì các tập kiểm tra trùng nhau; "
        "cần thêm dữ liệu.",
        "no_scipy": "Cần scipy để tính số seed phát hiện chênh lệch {rope}: pip install 'pynn-c[lab]'.",
        "flips": "Phương pháp: kiểm định đảo dấu max-t trên {pairs}, với toàn bộ {patterns} cách đặt dấu.",
        "drawn": "Phương pháp: kiểm định đảo dấu max-t trên {pairs}, với một nhóm con gồm {patterns} cách đặt dấu.",
        "holm": "Phương pháp: kiểm định t theo cặp, hiệu chỉnh Holm cho {pairs}.",
        "overlap": "Khoảng tin cậy rộng hơn {times:.1f} lần vì các tập kiểm tra trùng nhau (Nadeau và Bengio).",
        "headers": "a|b|trung bình|thấp|cao|p|hiệu ứng",
        "caption": "Chênh lệch điểm trung bình, a trừ b",
    },
}


def text(lang: str) -> dict[str, str]:
    """Return the sentences of a language, or raise."""
    if lang not in _TEXT:
        raise unknown_name("lang", lang, LANGUAGES)
    return _TEXT[lang]


def listed(names: Sequence[str], word: str = " and ") -> str:
    """Return names as an enumeration, such as ``a, b and c``."""
    return word.join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def verdict_sentences(v: Verdict, lang: str = "en") -> list[str]:
    """Return a verdict as sentences."""
    t = text(lang)
    if v.method == "none":
        return _too_few(v, t)
    found = [] if v.different else [t["none"]]
    found += _better(v, t)
    found.append(_best(v, t))
    found += _equivalent(v, t)
    count = len(v.differences)
    pairs = t["pair" if count == 1 else "pairs"].format(count)
    kind = "holm" if v.method == "Holm" else "flips" if v.exact else "drawn"
    method = t[kind].format(pairs=pairs, patterns=f"{v.patterns:,}")
    found.append(f"{method} {t['overlap'].format(times=v.inflation)}" if v.test_fraction else method)
    return found


def _too_few(v: Verdict, t: dict[str, str]) -> list[str]:
    key = "few" if v.fewest_seeds == 6 else "few_alpha"
    found = [t[key].format(n=v.seeds, seeds="seed" if v.seeds == 1 else "seeds", fewest=v.fewest_seeds, alpha=v.alpha)]
    if v.rope is None:
        return found
    rope = amount(v, v.rope, t)
    if v.seeds == 1:
        return [*found, t["unknown"].format(rope=rope)]
    return [*found, _needed(v, t, "needed_few")]


def _needed(v: Verdict, t: dict[str, str], key: str) -> str:
    assert v.rope is not None
    rope = amount(v, v.rope, t)
    try:
        needed = v.seeds_needed
    except ImportError:
        return t["no_scipy"].format(rope=rope)
    return t["never"].format(rope=rope) if needed is None else t[key].format(needed=f"{needed:,}", rope=rope)


def _better(v: Verdict, t: dict[str, str]) -> list[str]:
    """Return for each label that cannot be best how much better the best label that beats it is."""
    means = dict(zip(v.labels, v.means, strict=True))
    found: dict[str, tuple[bool, float, str]] = {}
    for pair in v.different:
        better, worse, low, high = _turned(pair)
        rank = (better in v.best, means[better])
        if worse not in found or rank > found[worse][:2]:
            key = "better" if low > 0 else "better_up"
            numbers = {"low": number(v, low, math.floor), "high": amount(v, high, t, math.ceil)}
            pairs = t["corrected"].format(len(v.differences)) if len(v.differences) > 1 else ""
            sentence = t[key].format(a=better, b=worse, level=f"{100 - 100 * v.alpha:.4g} %", pairs=pairs, **numbers)
            found[worse] = (*rank, sentence)
    return [found[label][2] for label in v.labels if label in found]


def _turned(pair: Difference) -> tuple[str, str, float, float]:
    """Return the better and the worse of a pair, and by how much."""
    if pair.mean > 0:
        return pair.a, pair.b, pair.low, pair.high
    return pair.b, pair.a, -pair.high, -pair.low


def _best(v: Verdict, t: dict[str, str]) -> str:
    labels = listed(v.best, t["and"])
    if len(v.best) == 1:
        return t["best"].format(labels=labels)
    bound = max(max(-pair.low, pair.high) for pair in v.differences if pair.a in v.best and pair.b in v.best)
    key = "maybe" if math.isfinite(bound) else "maybe_any"
    return t[key].format(labels=labels, n=v.seeds, bound=amount(v, bound, t, math.ceil))


def _equivalent(v: Verdict, t: dict[str, str]) -> list[str]:
    if v.rope is None:
        return [t["no_rope"]]
    rope, same = amount(v, v.rope, t), v.equivalent
    inside = [pair for pair in same if pair.a in v.best and pair.b in v.best]
    found = []
    if len(v.best) > 1 and len(inside) == len(v.best) * (len(v.best) - 1) // 2:
        found.append(t["all_equal"].format(labels=listed(v.best, t["and"]), rope=rope))
        same = tuple(pair for pair in same if pair not in inside)
    if same:
        named = "; ".join(f"{pair.a}{t['and']}{pair.b}" for pair in same[:_MOST_PAIRS])
        more = len(same) - _MOST_PAIRS
        found.append(t["equal"].format(rope=rope, pairs=t["more"].format(named + ";", more) if more > 0 else named))
    if not found:
        found.append(t["unequal"].format(rope=rope))
    is_open = len({*v.different, *v.equivalent}) < len(v.differences)
    return [*found, _needed(v, t, "needed")] if is_open else found


def number(v: Verdict, value: float, rounding: object = round) -> str:
    """Return a difference as text, in points if scores are shares; ``rounding`` rounds interval ends outwards."""
    if not math.isfinite(value):
        return "inf"
    value = 100 * value if v.shares else value
    digits = 1 if v.shares else max(0, 1 - math.floor(math.log10(abs(value)))) if value else 0
    if v.shares and 0 < abs(value) < 0.1:
        digits = 1 - math.floor(math.log10(abs(value)))
    scaled = value * 10**digits
    nearest = round(scaled)
    whole = nearest if abs(scaled - nearest) < 1e-6 else rounding(scaled)  # type: ignore[operator]
    return f"{whole / 10**digits:.{digits}f}"


def amount(v: Verdict, value: float, t: dict[str, str], rounding: object = round) -> str:
    """Return a difference with its unit."""
    text = number(v, value, rounding)
    return t["points"].format(text) if v.shares else text


def verdict_html(v: Verdict, lang: str = "en") -> str:
    """Return a verdict as HTML: sentences and a table of the differences."""
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict_sentences(v, lang))
    return f"<div>{sentences}{differences_table(v, lang)}</div>"


def differences_table(v: Verdict, lang: str = "en") -> str:
    """Return the differences as an HTML table."""
    t = text(lang)
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in t["headers"].split("|"))
    unit = 100 if v.shares else 1
    rows = []
    for pair in v.differences:
        numbers = [f"{unit * x:+.2f}" if v.shares else f"{x:+.4g}" for x in pair[2:5]]
        cells = [escape(pair.a), escape(pair.b), *numbers, f"{pair.p:.4f}", f"{pair.effect:+.2f}"]
        rows.append("<tr>" + "".join(f"<td>{'-' if 'nan' in cell else cell}</td>" for cell in cells) + "</tr>")
    return f"<table><caption>{escape(t['caption'])}</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
