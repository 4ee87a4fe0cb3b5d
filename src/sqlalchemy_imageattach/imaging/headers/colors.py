"""What the colours of a picture mean: every way of saying it becomes one ICC profile, or none.

A picture says its colours by an embedded profile, by numbers for primaries and transfer (CICP: in PNG, AVIF and HEIC),
or by a gamma and chromaticities (PNG, BMP).  An engine knows of one way only: it is given the profile to convert from.
What must always be true:

- A profile is judged by what it does to colours, never by its name.  One that does what sRGB does is none: conversion
  without need costs more than all the rest.
- What browsers ignore is none as well: a profile that is damaged, or of another number of channels than the picture.

`ICC.1 <https://www.color.org/specification/ICC.1-2022-05.pdf>`_, `H.273 <https://www.itu.int/rec/T-REC-H.273>`_
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Sequence

from . import hdr

__all__ = ("SRGB", "is_known", "is_profile", "is_simple", "of_cicp", "of_gamma", "of_profile")

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
Curve = Callable[[float], float]

#: White and primaries as x and y, in the order of PNG: white, red, green, blue.
Chromaticities = tuple[float, float, float, float, float, float, float, float]

_D65 = (0.3127, 0.3290)
_D50_XYZ = (0.9642, 1.0, 0.8249)

# H.273, table 2.
_PRIMARIES: dict[int, Chromaticities] = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_SRGB_PRIMARIES = _PRIMARIES[1]

# How far a curve or a primary may be from sRGB's without anybody seeing it.
_CURVE_TOLERANCE = 1.5 / 255
_MATRIX_TOLERANCE = 0.004


def is_profile(profile: bytes, channels: int) -> bool:
    """Say whether bytes are a whole profile for so many channels, without alpha: 1, 3 or 4."""
    return _does_as_srgb(profile, channels) is not None


def of_profile(profile: bytes, channels: int) -> bytes | None:
    """Judge an embedded profile.

    :param profile: the profile, which may be damaged
    :param channels: of the picture without its alpha: 1, 3 or 4
    :returns: the profile to convert from; ``None`` where the picture is shown as it is
    """
    if _does_as_srgb(profile, channels) is not False:
        return None
    # Browsers don't ask for which device it is, and converters do.
    return profile if profile[12:16] in _CLASSES else profile[:12] + b"mntr" + profile[16:]


def is_simple(profile: bytes | None) -> bool:
    """Say whether a profile is none, or curves and primaries, of which no converter makes anything else."""
    return profile is None or (profile[16:20] in (b"RGB ", b"GRAY") and b"A2B0" not in _tags(profile)[1])


def _does_as_srgb(profile: bytes, channels: int) -> bool | None:
    try:
        space, tags = _tags(profile)
        if space == b"RGB " and channels in (1, 3):
            return _is_srgb(tags)
        if space == b"GRAY" and channels == 1:
            return _is_curve_of_srgb(_curve(tags[b"kTRC"]))
        if space == b"CMYK" and channels == 4 and tags[b"A2B0"][:4] in _TABLES:
            return False
    except (KeyError, ValueError, ArithmeticError, IndexError, struct.error):
        pass
    return None


def is_known(primaries: int, transfer: int) -> bool:
    """Say whether numbers for colours have a meaning here."""
    return primaries in _PRIMARIES and (transfer in _TRANSFERS or transfer in hdr.DECODED)


@functools.lru_cache(maxsize=32)
def of_cicp(primaries: int, transfer: int) -> bytes | None:
    """Make a profile of the numbers for colours.

    :param primaries: H.273, table 2
    :param transfer: H.273, table 3
    :returns: ``None`` for sRGB, and for what has no meaning
    """
    if not is_known(primaries, transfer):
        return None
    if transfer in hdr.DECODED:
        return _table_profile(primaries, transfer)
    curve = _TRANSFERS[transfer]
    if primaries == 1 and curve == _SRGB_CURVE:
        return None
    return _matrix_profile(_PRIMARIES[primaries], curve)


def of_gamma(gamma: float, chromaticities: Chromaticities | None = None) -> bytes | None:
    """Make a profile of a gamma and primaries.

    :param gamma: what a sample, from 0 to 1, is raised to so that it becomes light
    :param chromaticities: white, red, green and blue; by default those of sRGB
    :returns: ``None`` for what is no different from sRGB, and for what has no meaning
    """
    if not 0.1 <= gamma <= 10:
        return None
    # Writers mean sRGB by 2.2.
    curve = _SRGB_CURVE if abs(gamma - 2.2) < 0.05 else (gamma,)
    made = _matrix_profile(chromaticities or _SRGB_PRIMARIES, curve)
    return None if made is None else of_profile(made, 3)


# Reading


def _tags(profile: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    space, signature = profile[16:20], profile[36:40]
    if signature != b"acsp":
        raise ValueError("the profile has no signature")
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {}
    for index in range(min(count, 100)):
        name, at, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if at + size > len(profile):
            raise ValueError("the profile is cut")
        tags[name] = profile[at : at + size]
    return space, tags


_CLASSES = frozenset((b"mntr", b"scnr", b"prtr", b"spac"))
_TABLES = frozenset((b"mft1", b"mft2", b"mAB "))


def _is_srgb(tags: dict[bytes, bytes]) -> bool:
    if b"A2B0" in tags:
        if tags[b"A2B0"][:4] not in _TABLES:
            raise ValueError("the table is of an unknown type")
        return False
    primaries = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
    expected = zip(*_to_d50(_SRGB_PRIMARIES), strict=True)
    return all(
        abs(value / 65536 - other) <= _MATRIX_TOLERANCE
        for one, another in zip(primaries, expected, strict=True)
        for value, other in zip(one, another, strict=True)
    ) and all(map(_is_curve_of_srgb, curves))


def _is_curve_of_srgb(curve: Curve) -> bool:
    steps = [step / 16 for step in range(17)]
    return all(abs(_srgb_encoded(curve(step)) - step) <= _CURVE_TOLERANCE for step in steps)


def _srgb_encoded(light: float) -> float:
    light = min(1.0, max(0.0, light))
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


# The parameters of each kind of parametric curve, completed to g, a, b, c, d, e, f: ICC.1, 10.18.
_COMPLETED: dict[int, Callable[..., tuple[float, ...]]] = {
    0: lambda g: (g, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    1: lambda g, a, b: (g, a, b, 0.0, -b / a, 0.0, 0.0),
    2: lambda g, a, b, c: (g, a, b, 0.0, -b / a, c, c),
    3: lambda g, a, b, c, d: (g, a, b, c, d, 0.0, 0.0),
    4: lambda g, a, b, c, d, e, f: (g, a, b, c, d, e, f),
}
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        values = [value / 65536 for value in struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)]
        g, a, b, c, d, e, f = _COMPLETED[kind](*values)
        return lambda x: max(0.0, a * x + b) ** g + e if x >= d else c * x + f
    if tag[:4] != b"curv":
        raise ValueError("the curve is of an unknown type")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda x: x
    if count == 1:
        gamma = struct.unpack_from(">H", tag, 12)[0] / 256
        return lambda x: float(x**gamma)

    def looked_up(x: float) -> float:
        place = x * (count - 1)
        index = min(int(place), count - 2)
        low, high = struct.unpack_from(">HH", tag, 12 + 2 * index)
        return float(low + (high - low) * (place - index)) / 65535

    if 12 + 2 * count > len(tag):
        raise ValueError("the curve is cut")
    return looked_up


# Making

# Between a table of version 2 and what is of version 4, converters change black.
_VERSION_2, _VERSION_4 = 0x02400000, 0x04400000

# What a parametric curve has: gamma alone, or g, a, b, c and d.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# How the picture of such a camera is shown, which is not how the camera made it: BT.1886.
_VIDEO_CURVE = (2.4,)

# H.273, table 3.
_TRANSFERS: dict[int, tuple[float, ...]] = {
    1: _VIDEO_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _VIDEO_CURVE,
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0912),
    8: (1.0,),
    13: _SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
    17: (2.6, (52.37 / 48) ** (1 / 2.6), 0.0, 0.0, 0.0),
}


def _matrix_profile(chromaticities: Chromaticities, curve: Sequence[float], version: int = _VERSION_4) -> bytes | None:
    try:
        matrix = _to_d50(chromaticities)
    except ArithmeticError:
        return None
    kind = 0 if len(curve) == 1 else 3
    packed = b"para\0\0\0\0" + struct.pack(f">HH{len(curve)}i", kind, 0, *(round(value * 65536) for value in curve))
    tags: dict[bytes, bytes] = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), packed)
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), zip(*matrix, strict=True), strict=True):
        if not all(abs(value) < 4 for value in column):
            return None
        tags[name] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in column))
    return _profile(tags, version=version)


# Steps of each colour in a table.
_STEPS = 25


def _table_profile(primaries: int, transfer: int) -> bytes:
    """A profile for what no curve of each colour for itself can do, as a table to L*a*b*: ICC.1, 10.10."""
    decode = hdr.DECODED[transfer]
    to_xyz = _to_d50(_PRIMARIES[primaries])
    wide = _to_d50(_PRIMARIES[hdr.BT2020])
    to_wide = _product(_inverse(wide), to_xyz)
    steps = [index / (_STEPS - 1) for index in range(_STEPS)]
    table = bytearray()
    for red in steps:
        for green in steps:
            for blue in steps:
                light = _applied(wide, hdr.shown(_applied(to_wide, decode((red, green, blue), to_xyz[1]))))
                table += struct.pack(">3H", *_lab(light))
    identity = struct.pack(">2H", 0, 65535)
    head = struct.pack(">4B9i2H", 3, 3, _STEPS, 0, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 2, 2)
    lut = b"mft2\0\0\0\0" + head + identity * 3 + bytes(table) + identity * 3
    return _profile({b"A2B0": lut}, b"Lab ", _VERSION_2)


def _lab(xyz: Sequence[float]) -> list[int]:
    """Encode a colour as tables of 16 bits do: ICC.1, 6.3.4."""
    x, y, z = (
        value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116
        for value in (part / white for part, white in zip(xyz, _D50_XYZ, strict=True))
    )
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return [min(65535, max(0, round(value))) for value in (lightness * 652.8, (a + 128) * 256, (b + 128) * 256)]


def _profile(tags: dict[bytes, bytes], connection: bytes = b"XYZ ", version: int = _VERSION_4) -> bytes:
    """Put a profile of version 4 together: ICC.1, 7."""
    text = "made".encode("utf-16-be")
    named = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in _D50_XYZ))
    tags = {b"desc": named, b"cprt": named, b"wtpt": white, **tags}
    table, body = struct.pack(">I", len(tags)), b""
    at = 128 + 4 + 12 * len(tags)
    for name, payload in tags.items():
        table += name + struct.pack(">II", at + len(body), len(payload))
        body += payload + bytes(-len(payload) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x", at + len(body), bytes(4), version, b"mntr", b"RGB ", connection, b"acsp"
    )
    header += struct.pack(">3i", *(round(value * 65536) for value in _D50_XYZ))
    return header.ljust(128, b"\0") + table + body


def _to_d50(chromaticities: Chromaticities) -> Matrix:
    """The matrix from linear red, green and blue to XYZ under D50, by Bradford: ICC.1, annex E."""
    white_x, white_y, *ends = chromaticities
    columns = [(x / y, 1.0, (1 - x - y) / y) for x, y in zip(ends[::2], ends[1::2], strict=True)]
    primaries = _of_rows(zip(*columns, strict=True))
    white = (white_x / white_y, 1.0, (1 - white_x - white_y) / white_y)
    strengths = _applied(_inverse(primaries), white)
    matrix = _of_rows([value * strength for value, strength in zip(row, strengths, strict=True)] for row in primaries)
    cones = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
    gains = [there / here for there, here in zip(_applied(cones, _D50_XYZ), _applied(cones, white), strict=True)]
    adapted = _of_rows([value * gain for value in row] for row, gain in zip(cones, gains, strict=True))
    return _product(_inverse(cones), _product(adapted, matrix))


def _of_rows(rows: Iterable[Iterable[float]]) -> Matrix:
    first, second, third = (tuple(row) for row in rows)
    return first, second, third  # type: ignore[return-value]


def _applied(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(value * other for value, other in zip(row, vector, strict=True)) for row in matrix]


def _product(one: Matrix, other: Matrix) -> Matrix:
    columns = [_applied(one, column) for column in zip(*other, strict=True)]
    return _of_rows(zip(*columns, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return _of_rows([value / determinant for value in row] for row in rows)


_made = _matrix_profile(_SRGB_PRIMARIES, _SRGB_CURVE, _VERSION_2)
assert _made is not None
#: The profile of sRGB, to convert to.
SRGB: bytes = _made
