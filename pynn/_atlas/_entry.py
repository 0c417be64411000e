"""Entries of the atlas."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, DTypeLike

from .. import _core
from .._formula import compile_formula
from .._formula.table import reserved
from .._tables import parse_parameters
from ..activations import activations
from ._picture import draw
from ._properties import Properties, measure

if TYPE_CHECKING:
    from ..layers import Activation


@dataclass(frozen=True)
class Reference:
    """A publication.

    Attributes
    ----------
    authors, title : str
        Last names, and the title, which may be shortened.
    year : int
        The year of the first publication.
    doi, arxiv, venue : str or None
        Digital object identifier, number on arXiv, and journal or conference; None where they are unknown or do not exist.
    """

    authors: str
    title: str
    year: int
    doi: str | None = None
    arxiv: str | None = None
    venue: str | None = None

    @property
    def url(self) -> str | None:
        """The address of the publication, if it has an identifier."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None

    def __str__(self) -> str:
        where = [f"arXiv:{self.arxiv}"] * bool(self.arxiv) + [f"doi:{self.doi}"] * bool(self.doi) + [self.venue] * bool(self.venue)
        return f"{self.authors} ({self.year}). {'. '.join([self.title, *map(str, where)])}."


@dataclass(frozen=True)
class Entry:
    """A published activation.

    Attributes
    ----------
    name : str
        Its name in the atlas.
    family : str
        The group to which it belongs.
    formula : str
        Its formula in x and the parameters, in the language of `pynn.Activation`.
    parameters : mapping of str to float
        The parameters with their default values.
    learnt : tuple of str
        The parameters that the source trains; `activation` makes them learnable.
    reference : Reference or None
        Where it was published; None if the original publication could not be checked.
    survey : str or None
        The section of Kunc and Klema (2024, arXiv:2402.09092) that describes it.
    aliases : tuple of str
        Other names.
    remark : str or None
        What else there is to know.
    window : float
        Half the width of the picture.

    Examples
    --------
    >>> import pynn
    >>> pynn.atlas["star_relu"]
    Entry('star_relu', 's * relu(x)**2 + b', s=0.8944, b=-0.4472, learnt=('s', 'b'))
    >>> print(pynn.atlas["star_relu"].reference)
    Yu et al. (2022). MetaFormer baselines for vision. arXiv:2210.13452.
    """

    name: str
    family: str
    formula: str
    parameters: Mapping[str, float]
    learnt: tuple[str, ...]
    reference: Reference | None
    survey: str | None
    aliases: tuple[str, ...]
    remark: str | None
    window: float
    _is_row: bool = field(repr=False)

    @classmethod
    def _read(cls, name: str, values: Mapping[str, Any], references: Mapping[str, Reference]) -> Entry:
        """Return an entry from its table in the data file; one without a formula is the row of the core's table with its name."""
        parameters = {key: float(value) for key, value in values.get("parameters", {}).items()}
        formula = values.get("formula")
        if formula is None:
            row = activations[name]
            parameters = {**parse_parameters(row["params"]).defaults, **parameters}
            formula = row["formula"]
        return cls(
            name,
            values["family"],
            formula,
            MappingProxyType(parameters),
            tuple(values.get("learnt", ())),
            references[values["reference"]] if "reference" in values else None,
            values.get("survey"),
            tuple(values.get("aliases", ())),
            values.get("remark"),
            float(values.get("window", 5.0)),
            "formula" not in values,
        )

    @property
    def year(self) -> int | None:
        """The year of publication, if it is known."""
        return self.reference.year if self.reference else None

    def activation(
        self,
        *,
        learn: str | Iterable[str] | None = None,
        channels: int = 1,
        dtype: DTypeLike | None = None,
        **parameters: ArrayLike,
    ) -> Activation:
        """Return the activation as a layer, which is also a function of arrays.

        Parameters
        ----------
        learn : str or iterable of str
            The parameters that are learnt. Those of the source by default; ``()`` for none.
        channels : int
            1 for a single value of each learnt parameter, or the number of channels (axis 1) for one value per channel.
        dtype : {'float32', 'float64'}
            The dtype of learnt parameters, as in `pynn.Activation`.
        **parameters : float
            Values of parameters in place of the defaults.

        Raises
        ------
        ValueError
            If the activation has no parameter with that name, or a parameter cannot be learnt.

        Examples
        --------
        >>> import pynn
        >>> swish = pynn.atlas["swish"].activation(beta=1.5, learn=())
        >>> round(float(swish(1.0)), 4), round(float(swish.grad(1.0)), 4)
        (0.8176, 1.0413)
        """
        for name in parameters:
            if name not in self.parameters:
                known = f"its parameters are {', '.join(self.parameters)}" if self.parameters else "it has no parameters"
                raise ValueError(f"{self.name} has no parameter {name!r}; {known}")
        names = self.learnt if learn is None else (learn,) if isinstance(learn, str) else tuple(learn)
        values = {**self.parameters, **parameters}
        for name in names:
            if name not in values or (self._is_row and name in reserved()):
                raise ValueError(f"learn: {self.name} has no parameter {name!r} that can be learnt; its parameters: {', '.join(values)}")
        text, numbers = self._call(values, names)
        from ..layers import Activation

        return Activation(text, name=self.name, learn=names, channels=channels, dtype=dtype, **numbers)

    def _call(self, values: Mapping[str, Any], learnt: Iterable[str]) -> tuple[str, Mapping[str, Any]]:
        """Return the formula with its parameters. That of a table row is a call of the row, with numbers for what is not learnt."""
        if not self._is_row:
            return self.formula, values
        arguments = [name if name in learnt else repr(value) for name, value in values.items()]
        return f"{self.name}({', '.join(['x', *arguments])})", {name: value for name, value in values.items() if name in learnt}

    @functools.cached_property
    def properties(self) -> Properties:
        """The properties at the default parameters, computed from the formula."""
        return measure(*self._functions)

    @functools.cached_property
    def _functions(self) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        """Return the function and its derivative, at the default parameters."""
        text, values = self._call(self.parameters, ())
        program = compile_formula(text, parameters=values)
        compiled = _core.Formula(program.code, program.outputs, 1, len(values))
        numbers = tuple(values.values())
        return lambda x: compiled.ufunc(x, *numbers), lambda x: compiled.grad(x, *numbers)

    def picture(self) -> str:
        """Return a small picture of the function (blue) and its derivative (orange) as the text of an SVG file."""
        return draw(*self._functions, self.window)

    @functools.cached_property
    def _words(self) -> str:
        return " ".join(map(str, (self.name, *self.aliases, self.formula, self.remark, self.reference, self.family))).lower()

    def __repr__(self) -> str:
        parts = [repr(self.name), repr(self.formula), *(f"{name}={value!r}" for name, value in self.parameters.items())]
        return f"Entry({', '.join(parts + [f'learnt={self.learnt!r}'] * bool(self.learnt))})"

    def _repr_html_(self) -> str:
        about = "<br>".join(html.escape(str(line)) for line in (self.reference, self.remark) if line)
        return f"<div>{self.picture()}<br><b>{self.name}</b> <code>{html.escape(repr(self)[6:-1])}</code><br>{about}</div>"
