"""The names of resampling filters, and what each is here.

The names are those of ``wand.image.FILTER_TYPES``, in its order, for an index into that is accepted too.  The engines
have fewer kernels than there are names: each name is mapped to the nearest, by its support and by how sharp it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ("DEFAULT_FILTER", "FILTERS", "Kernel", "check_filter", "filter_name")

DEFAULT_FILTER = "undefined"


class Kernel(NamedTuple):
    """What each engine calls it: ``VipsKernel``, ``PIL.Image.Resampling``."""

    vips: str
    pillow: str


_POINT = Kernel("nearest", "NEAREST")
_BOX = Kernel("linear", "BOX")
_LINEAR = Kernel("linear", "BILINEAR")
_WINDOWED = Kernel("linear", "HAMMING")
_SMOOTH = Kernel("mitchell", "BICUBIC")
_CUBIC = Kernel("cubic", "BICUBIC")
_LANCZOS2 = Kernel("lanczos2", "BICUBIC")
_LANCZOS3 = Kernel("lanczos3", "LANCZOS")

#: Every filter by its name, in the order of ``wand.image.FILTER_TYPES``.
FILTERS: Mapping[str, Kernel] = MappingProxyType(
    {
        # The engine's own choice, which is also the quickest: it can shrink while it decodes.
        "undefined": _LANCZOS3,
        "point": _POINT,
        "box": _BOX,
        "triangle": _LINEAR,
        "hermite": _LINEAR,
        "hanning": _LANCZOS3,
        "hamming": _LANCZOS3,
        "blackman": _LANCZOS3,
        "gaussian": _SMOOTH,
        "quadratic": _SMOOTH,
        "cubic": _SMOOTH,
        "catrom": _CUBIC,
        "mitchell": _SMOOTH,
        "jinc": _LANCZOS3,
        "sinc": _LANCZOS3,
        "sincfast": _LANCZOS3,
        "kaiser": _LANCZOS3,
        "welsh": _LANCZOS3,
        "parzen": _LANCZOS3,
        "bohman": _LANCZOS3,
        "bartlett": _LANCZOS3,
        "lagrange": _CUBIC,
        "lanczos": _LANCZOS3,
        "lanczossharp": _LANCZOS3,
        "lanczos2": _LANCZOS2,
        "lanczos2sharp": _LANCZOS2,
        "robidoux": _SMOOTH,
        "robidouxsharp": _CUBIC,
        "cosine": _LANCZOS3,
        "spline": _SMOOTH,
        "lanczosradius": _LANCZOS3,
        "cubicspline": _SMOOTH,
        "magickernelsharp2013": Kernel("mks2013", "BICUBIC"),
        "magickernelsharp2021": Kernel("mks2021", "LANCZOS"),
        "sentinel": _LANCZOS3,
    }
)
_NAMES = tuple(FILTERS)


def check_filter(name: str | int) -> None:
    """Check the name of a filter, or its index in ``wand.image.FILTER_TYPES``.

    :param name: one of :data:`FILTERS`
    :raises TypeError: if it is neither a string nor an integer
    :raises ValueError: if there is no such filter

    >>> check_filter("mitchell")
    >>> check_filter("sharpest")
    Traceback (most recent call last):
    ValueError: there is no filter 'sharpest'; choose one of undefined, point, box, ...
    """
    filter_name(name)


def filter_name(name: str | int) -> str:
    if isinstance(name, str):
        if name in FILTERS:
            return name
        raise ValueError(f"there is no filter {name!r}; choose one of {', '.join(FILTERS)}")
    if isinstance(name, int) and not isinstance(name, bool):
        if 0 <= name < len(_NAMES):
            return _NAMES[name]
        raise ValueError(f"there is no filter number {name}; they are 0 to {len(_NAMES) - 1}")
    raise TypeError(f"a filter is a string or an integer, not {name!r}")
