"""Layers, in one module per family."""

from __future__ import annotations

from . import activation, conv, custom, dropout, embedding, gates, linear, norm, padding, pooling, reparametrized, shape
from .activation import *  # noqa: F403
from .conv import *  # noqa: F403
from .custom import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .gates import *  # noqa: F403
from .linear import *  # noqa: F403
from .norm import *  # noqa: F403
from .padding import *  # noqa: F403
from .pooling import *  # noqa: F403
from .reparametrized import *  # noqa: F403
from .shape import *  # noqa: F403

__all__ = [
    *activation.__all__,
    *conv.__all__,
    *custom.__all__,
    *dropout.__all__,
    *embedding.__all__,
    *gates.__all__,
    *linear.__all__,
    *norm.__all__,
    *padding.__all__,
    *pooling.__all__,
    *reparametrized.__all__,
    *shape.__all__,
]


def __dir__() -> list[str]:
    return __all__
