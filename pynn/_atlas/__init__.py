"""The atlas of published activations: `pynn.atlas`."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ._entry import Entry, Reference
from ._properties import PREDICATES, Properties

__all__ = ["Atlas", "Entry", "Properties", "Reference", "atlas"]


class Atlas(Mapping[str, Entry]):
    """Published elementwise activations by name.

    A mapping from names to entries, in the order of families. Upper case, hyphens, blanks and underscores do not matter in a lookup,
    and other names that an activation has in the literature are found too.

    The list follows the survey of Kunc and Klema (2024, arXiv:2402.09092), with later additions. docs/atlas.md shows all entries with
    pictures.

    Examples
    --------
    >>> import pynn
    >>> entry = pynn.atlas["snake"]
    >>> entry.formula, entry.year, entry.learnt
    ('x + sin(a * x)**2 / a', 2020, ('a',))
    >>> [e.name for e in pynn.atlas.search(fixed_point=True, year=2017)]
    ['selu']
    """

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._lookup[_key(name)]
        except (KeyError, TypeError, AttributeError):
            raise KeyError(self._unknown(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self._lookup

    def __repr__(self) -> str:
        return f"<atlas of {len(self)} published activations>"

    def _repr_html_(self) -> str:
        return f"Atlas of {len(self)} published activations: " + ", ".join(f"<code>{name}</code>" for name in self)

    def search(
        self,
        text: str | None = None,
        *,
        family: str | None = None,
        learnt: bool | None = None,
        year: int | tuple[int, int] | None = None,
        monotonic: bool | None = None,
        bounded: bool | None = None,
        continuous: bool | None = None,
        smooth: bool | None = None,
        odd: bool | None = None,
        even: bool | None = None,
        zero_at_zero: bool | None = None,
        unit_slope_at_zero: bool | None = None,
        nonnegative: bool | None = None,
        saturates_left: bool | None = None,
        saturates_right: bool | None = None,
        zero_centred: bool | None = None,
        fixed_point: bool | None = None,
    ) -> list[Entry]:
        """Return the entries that satisfy all conditions that are given.

        Parameters
        ----------
        text : str
            Words that occur in the name, aliases, formula, remark or reference; upper case does not matter.
        family : str
            ``'piecewise linear'``, ``'algebraic'``, ``'sigmoid'``, ``'softplus'``, ``'exponential'``, ``'gated'``, ``'periodic'`` or
            ``'bump'``.
        learnt : bool
            Whether the source learns a parameter.
        year : int or (int, int)
            The year of publication, or the first and the last year.
        monotonic, bounded, continuous, smooth, odd, even, zero_at_zero, unit_slope_at_zero, nonnegative, saturates_left, \
saturates_right, zero_centred, fixed_point : bool
            Whether the activation has the property at its default parameters; `Properties` defines them. They are computed from the
            formula.

        Raises
        ------
        ValueError
            If the family does not exist.

        Examples
        --------
        >>> import pynn
        >>> [e.name for e in pynn.atlas.search("tanh", odd=True, bounded=True, unit_slope_at_zero=True, learnt=False, year=2016)]
        ['scaled_sigmoid']
        """
        given = locals()
        wanted = {name: bool(given[name]) for name in PREDICATES if given[name] is not None}
        if family is not None and family not in self.families:
            raise ValueError(f"family: got {family!r}, expected one of {', '.join(map(repr, self.families))}")
        first, last = (year, year) if year is None or isinstance(year, int) else year
        found = []
        for entry in self._entries.values():
            fits = (
                (text is None or all(word in entry._words for word in text.lower().split()))
                and (family is None or entry.family == family)
                and (learnt is None or bool(entry.learnt) == learnt)
                and (first is None or last is None or (entry.year is not None and first <= entry.year <= last))
            )
            if fits and all(getattr(entry.properties, name) == value for name, value in wanted.items()):
                found.append(entry)
        return found

    @property
    def families(self) -> tuple[str, ...]:
        """The families of entries."""
        return tuple(dict.fromkeys(entry.family for entry in self._entries.values()))

    @functools.cached_property
    def _entries(self) -> dict[str, Entry]:
        references = {key: Reference(**value) for key, value in _data("references.toml").items()}
        return {name: Entry._read(name, values, references) for name, values in _data("activations.toml").items()}

    @functools.cached_property
    def _lookup(self) -> dict[str, Entry]:
        return {_key(name): entry for entry in self._entries.values() for name in (*entry.aliases, entry.name)}

    def _unknown(self, name: object) -> str:
        if not isinstance(name, str):
            return f"the atlas is indexed by names of activations, got {name!r}"
        names = {_key(other): other for entry in self._entries.values() for other in (*entry.aliases, entry.name)}
        close = [names[key] for key in difflib.get_close_matches(_key(name), names, n=3)]
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "list(pynn.atlas) shows all names"
        return f"no activation {name[:60]!r} in the atlas; {hint}"


def _key(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((importlib.resources.files(__name__) / name).read_text(encoding="utf-8"))


atlas = Atlas()
