"""Pictures of a high dynamic range, as a screen without one shows them.

What is brighter than paper, and what is more colourful than a screen, has to be brought into reach.  The curve is that
of browsers: up to white every light is halved, and what is brighter bends towards the brightest light.  It holds for
the strongest of the three colours, and the others keep their ratio to it.

`BT.2100 <https://www.itu.int/rec/R-REC-BT.2100>`_; the curve is that for a reference white in SMPTE ST 2094-50
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ("BT2020", "DECODED", "shown")

#: The number of the primaries in which the curve is applied: H.273, table 2.
BT2020 = 9

# Nits: of white on paper, and of the brightest light that a picture is taken to have.
_WHITE, _PEAK = 203.0, 1000.0
_BRIGHTEST = _PEAK / _WHITE

# Where the curve bends, and the middle point of the parabola from there to the brightest light.
_KNEE, _AT_KNEE = 1.0, 0.5
_BEND = 0.65
_MIDDLE = (1 - _BEND) * _KNEE + _BEND * _KNEE / _AT_KNEE
_AT_MIDDLE = (1 - _BEND) * _AT_KNEE + _BEND


def _from_pq(samples: Sequence[float], luminances: Sequence[float]) -> list[float]:
    return [_pq_nits(sample) / _WHITE for sample in samples]


def _pq_nits(sample: float) -> float:
    power = sample ** (1 / 78.84375)
    linear = max(power - 0.8359375, 0.0) / (18.8515625 - 18.6875 * power)
    return 10_000.0 * float(linear ** (1 / 0.1593017578125))


_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * math.log(4 * _HLG_A)


def _from_hlg(samples: Sequence[float], luminances: Sequence[float]) -> list[float]:
    scene = [
        sample * sample / 3 if sample <= 0.5 else (math.exp((sample - _HLG_C) / _HLG_A) + _HLG_B) / 12
        for sample in samples
    ]
    # A screen of 1,000 nits makes what is dark darker.
    luminance = sum(light * part for light, part in zip(scene, luminances, strict=True))
    return [light * float(luminance**0.2) * _BRIGHTEST for light in scene]


#: What turns samples into light, 1.0 being white on paper, by the number of the transfer: H.273, table 3.  It takes
#: the part of each primary in the luminance as well.
DECODED = {16: _from_pq, 18: _from_hlg}


def shown(light: Sequence[float]) -> list[float]:
    """Bring light into reach.

    :param light: linear, of :data:`BT2020`, 1.0 being white on paper
    :returns: the same, 1.0 being the brightest that a screen shows
    """
    strongest = max(*light, 1e-9)
    gain = _curve(strongest) / strongest
    return [value * gain for value in light]


def _curve(light: float) -> float:
    if light <= _KNEE:
        return light * _AT_KNEE / _KNEE
    if light >= _BRIGHTEST:
        return 1.0
    # x(t) = (1 - t)^2 knee + 2 t (1 - t) middle + t^2 brightest, solved for t.
    a, b, c = _KNEE - 2 * _MIDDLE + _BRIGHTEST, 2 * (_MIDDLE - _KNEE), _KNEE - light
    t = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    return (1 - t) ** 2 * _AT_KNEE + 2 * t * (1 - t) * _AT_MIDDLE + t * t
