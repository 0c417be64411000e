"""Errors that point at a place in a formula, and the checks of a text before Python's parser reads it."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable

MAX_LENGTH, MAX_TOKENS, MAX_DEPTH = 4000, 600, 60
"""The limits of a text: its characters, its names, numbers and operators, and the depth of its parentheses."""
_SHOWN = 67

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<operator>\*\*|<=|>=|==|!=|[-+*/<>&|(),])""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not"})
_KEYWORDS = frozenset(keyword.kwlist) - _WORDS
_HINTS = {
    "^": "a power is written **",
    "=": "equality is written ==",
    "!": "the negation of a condition is written not",
    "~": "the negation of a condition is written not",
    "%": "there is no remainder",
    "[": "parentheses are round",
    "{": "parentheses are round",
    "if": "a choice is written where(condition, a, b)",
    "else": "a choice is written where(condition, a, b)",
}


class FormulaError(ValueError):
    """Raised for a formula that is not in the language. The message shows the place in the text.

    Attributes
    ----------
    text : str
        The formula.
    position : int
        The index of the character at which the error was found.
    """

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.text, self.position = text, position
        super().__init__(message + _place(text, position) if text else message)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.args[0], self.text, self.position)


def _restore(message: str, text: str, position: int) -> FormulaError:
    error = FormulaError(message)
    error.text, error.position = text, position
    return error


def _place(text: str, position: int) -> str:
    """Return two lines that show the text around a position, and a caret under it."""
    begin = max(0, min(position - _SHOWN // 2, len(text) - _SHOWN))
    shown = "".join(c if c.isprintable() and c.isascii() else " " if c in "\t\r\n" else "?" for c in text[begin : begin + _SHOWN])
    before, after = "..." if begin else "", "..." if begin + _SHOWN < len(text) else ""
    return f"\n    {before}{shown}{after}\n    {' ' * (len(before) + position - begin)}^"


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint that names similar known names, or an empty text."""
    import difflib  # a misspelt name is rare, and the module takes a millisecond to load

    close = difflib.get_close_matches(name[:64].lower(), list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def check_text(text: str) -> str:
    """Return the text of a formula, after checking that it consists of tokens of the language and is neither long nor deep.

    Python's parser reads only texts that passed: no strings, attributes, subscripts, keywords or letters that Python would normalise,
    and nothing that exhausts its stack.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"a formula may have at most {MAX_LENGTH:,} characters, got {len(text):,}", text, MAX_LENGTH)
    if not text.strip():
        raise FormulaError("the formula is empty")
    at, tokens, signs, last = 0, 0, 0, "("
    opened: list[int] = []
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unexpected(text, at)
        kind, word = found.lastgroup, found[0]
        if kind != "space":
            _check_token(text, at, str(kind), word, last, opened)
            opened += [at] * (word == "(")
            del opened[len(opened) - (word == ")") :]
            tokens, signs, last = tokens + 1, signs + 1 if word in ("+", "-", "not", "**") else 0, word
            if len(opened) > MAX_DEPTH or signs > MAX_DEPTH:
                raise FormulaError(f"a formula may be nested at most {MAX_DEPTH} levels deep", text, at)
            if tokens > MAX_TOKENS:
                raise FormulaError(f"a formula may have at most {MAX_TOKENS:,} names, numbers and operators", text, at)
        at = found.end()
    if opened:
        raise FormulaError("this parenthesis is not closed", text, opened[-1])
    if not _ends_value(last):
        raise FormulaError(f"a value is missing after {last!r}", text, len(text.rstrip()))
    return text


def _ends_value(word: str) -> bool:
    return (word[0].isalnum() or word[0] in "._)") and word not in _WORDS


def _check_token(text: str, at: int, kind: str, word: str, last: str, opened: list[int]) -> None:
    """Check that a token may follow the last one."""
    if kind == "number":
        _check_number(text, at, word)
    if word in _KEYWORDS:
        hint = _HINTS.get(word, "a formula is one expression of numbers, names, operators and calls")
        raise FormulaError(f"{word!r} is not part of the language; {hint}", text, at)
    if word == ")" and not opened:
        raise FormulaError("this parenthesis closes none", text, at)
    if word == "," and not opened:
        raise FormulaError("a comma separates the arguments of a function, and this one is outside of a call", text, at)
    begins = (kind in ("number", "name") and word not in ("and", "or")) or word == "("
    is_call = word == "(" and (last[0].isalpha() or last[0] == "_") and last not in _WORDS
    if begins and _ends_value(last) and not is_call:
        raise FormulaError("an operator is missing here; a product is written with *", text, at)
    if not begins and word not in ("+", "-") and not _ends_value(last) and (last, word) != ("(", ")"):
        raise FormulaError(f"a value is missing before {word!r}", text, at)


def _unexpected(text: str, at: int) -> FormulaError:
    character = text[at]
    shown = repr(character) if character.isascii() else f"{character!a} (not ASCII)"
    hint = _HINTS.get(character)
    if hint is None and character in "\"'":
        hint = "a formula contains no text"
    if hint is None and character == ".":
        hint = "a formula contains no attributes"
    hint = hint or "a formula consists of names, numbers, parentheses and the operators + - * / ** < <= > >= == != & | and or not"
    return FormulaError(f"{shown} is not part of the language; {hint}", text, at)


def _check_number(text: str, at: int, word: str) -> None:
    end = at + len(word)
    following = text[end : end + 1]
    if following and (following.isalnum() or following in "_."):
        hint = "decimal numbers are written 0.25, 1e-3 or 12" if following != "_" else "digits are not separated by _"
        if following.isalpha() and not word.startswith("0"):
            hint = "a product is written with *"
        raise FormulaError(f"a number is followed by {following!r}; {hint}", text, end)
    if len(word) > 100:
        raise FormulaError("a number may have at most 100 characters", text, at)
    value = float(word)
    if value == float("inf"):
        raise FormulaError(f"the number {word} is too large for float64", text, at)
    if value == 0 and re.search("[1-9]", re.split("[eE]", word)[0]):
        raise FormulaError(f"the number {word} is too small for float64", text, at)


def parsed(text: str) -> ast.expr:
    """Return the syntax tree of a text that passed ``check_text``; its columns are the positions in the text, plus one."""
    line = re.sub(r"[\t\r\n]", " ", text)
    try:
        return ast.parse(f"({line})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as e:
        offset = getattr(e, "offset", None) or 2
        raise FormulaError("the formula cannot be read from here on", text, min(max(offset - 2, 0), len(text) - 1)) from None
