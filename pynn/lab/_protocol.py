"""The protocol of a comparison as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._tables import unknown_name
from ..datasets._words import Sentence

_TEXT = {
    "en": {
        "nothing": "No net learnt anything: none is better than {what} ({baseline}).",
        "lost": "Not better than {what} ({baseline}): {labels}.",
        "baseline_accuracy": "always predicting the most frequent class",
        "baseline_R2": "always predicting the mean",
        "baseline_score": "predicting the most frequent class and the mean",
        "data": "Target: {targets}. Rows: {train:,} for training, {validation:,} for validation, {test:,} for testing.",
        "net": "Net: {net}. {seeds}; inputs {scale}.",
        "seeds": "{n} seeds ({first} to {last})",
        "seed": "1 seed ({first})",
        "budget": "Budget of each candidate: {epochs} epochs, {steps:,} steps per seed, batches of {batch}, {optimizer}.",
        "tuned": "Learning rate of each candidate: the best of {count} from {low:g} to {high:g}, found with {seeds} seeds by successive "
        "halving on the validation rows ({trials} trials, {steps:,} steps).",
        "untuned": "Learning rates are not tuned.",
        "init_auto": "initial weights chosen by activation",
        "init_shared": "the same initial weights for all",
        "init_other": "initial weights: {}",
        "columns": "scaled by column",
        "together": "scaled together",
        "none": "not scaled",
        "filled": ", missing values replaced by the mean of the training rows",
        "call": "Call: {}",
        "versions": "pynn {pynn}, NumPy {numpy}, Python {python}, {isa}; data SHA-256 {digest}.",
    },
    "vi": {
        "nothing": "Không mạng nào học được gì: không mạng nào tốt hơn việc {what} ({baseline}).",
        "lost": "Không tốt hơn việc {what} ({baseline}): {labels}.",
        "baseline_accuracy": "luôn đoán lớp hay gặp nhất",
        "baseline_R2": "luôn đoán giá trị trung bình",
        "baseline_score": "đoán lớp hay gặp nhất và giá trị trung bình",
        "data": "Đích: {targets}. Số dòng: {train:,} để huấn luyện, {validation:,} để kiểm định, {test:,} để kiểm tra.",
        "net": "Mạng: {net}. {seeds}; đầu vào {scale}.",
        "seeds": "{n} seed ({first} đến {last})",
        "seed": "1 seed ({first})",
        "budget": "Ngân sách của mỗi ứng viên: {epochs} epoch, {steps:,} bước mỗi seed, lô {batch}, {optimizer}.",
        "tuned": "Tốc độ học của mỗi ứng viên: tốt nhất trong {count} giá trị từ {low:g} đến {high:g}, tìm với {seeds} seed bằng phương "
        "pháp chia đôi liên tiếp (successive halving) trên phần kiểm định ({trials} lần thử, {steps:,} bước).",
        "untuned": "Tốc độ học không được tinh chỉnh.",
        "init_auto": "trọng số ban đầu theo hàm kích hoạt",
        "init_shared": "trọng số ban đầu giống nhau",
        "init_other": "trọng số ban đầu: {}",
        "columns": "chuẩn hóa theo cột",
        "together": "chuẩn hóa chung",
        "none": "giữ nguyên",
        "filled": ", giá trị thiếu là trung bình của các dòng để học",
        "call": "Lệnh: {}",
        "versions": "pynn {pynn}, NumPy {numpy}, Python {python}, {isa}; SHA-256 của dữ liệu {digest}.",
    },
}


def report_words(lang: str) -> dict[str, str]:
    """Return the texts of a language, or raise."""
    if lang not in _TEXT:
        raise unknown_name("lang", lang, _TEXT)
    return _TEXT[lang]


def protocol_sentences(p: Mapping[str, Any], lang: str = "en") -> list[str]:
    """Return sentences about the data, the net, the budget and the tuning."""
    t = report_words(lang)
    seeds = p["seeds"]
    named = t["seed"] if len(seeds) == 1 else t["seeds"]
    scale = ", ".join(t[one] for one in dict.fromkeys(p["scale"]))
    scale += t["filled"] if p["filled"] else ""
    init = t.get(f"init_{p['init']}") or t["init_other"].format(p["init"])
    targets = "; ".join(Sentence(key, **values).in_language(lang) for key, values in p["targets"])
    found = [
        t["data"].format(targets=targets, train=p["rows"][0], validation=p["rows"][1], test=p["rows"][2]),
        t["net"].format(net=p["net"], seeds=named.format(n=len(seeds), first=seeds[0], last=seeds[-1]), scale=scale)[:-1] + f"; {init}.",
        t["budget"].format(epochs=p["epochs"], steps=p["steps"], batch=p["batch_size"], optimizer=p["optimizer"]),
    ]
    tuning = p["tuning"]
    if tuning is None:
        return [*found, t["untuned"]]
    rates = tuning["rates"]
    numbers = {"count": len(rates), "low": rates[0], "high": rates[-1], "seeds": tuning["seeds"]}
    return [*found, t["tuned"].format(**numbers, trials=tuning["trials"], steps=tuning["steps"])]


def origin_sentences(p: Mapping[str, Any], lang: str = "en") -> list[str]:
    """Return versions, the hash of the data, and the call that repeats the comparison."""
    t = report_words(lang)
    return [t["versions"].format(**p["versions"], digest=p["digest"]), t["call"].format(p["call"])]
