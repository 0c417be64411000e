"""The language of formulas: one grammar and one set of differentiation rules for tables, documentation, tests and users.

======================  ======================================================================================
module                  content
======================  ======================================================================================
``nodes``               graphs of operations
``syntax``              errors that point at a place, checks of a text before it is parsed
``table``, ``parser``   names of the language; from text to graphs
``evaluate``            values of graphs, in any arithmetic
``derivative``          derivatives: exact on each side of a kink, as programs compute them, and as displayed
``inline``, ``stable``  activations as formulas; equal formulas that are computed more accurately
``recognise``           the row of the activation table that equals a formula
``program``             instructions for the core
``text``, ``kinds``     graphs as text; formulas of layer kinds
======================  ======================================================================================
"""

from .kinds import filled
from .program import Program, compile_formula
from .syntax import FormulaError
from .text import derivative

__all__ = ["FormulaError", "Program", "compile_formula", "derivative", "filled"]
