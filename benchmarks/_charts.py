"""Bars as SVG, drawn by code, for a page of any width, in the light and in the dark."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

_ROW, _LABEL, _WIDTH, _VALUE = 26, 190, 760, 120


def bars(title: str, values: Sequence[tuple[str, float, str]], own: str = "this library") -> str:
    """Draw one bar for each value.

    :param title: what is shown, for those who do not see it
    :param values: names, values, and how the values are written
    :param own: which one is drawn in another colour
    :returns: the SVG
    """
    most = max(value for _, value, _ in values)
    height = _ROW * len(values) + 8
    size = f'viewBox="0 0 {_WIDTH} {height}" font-size="14" font-family="system-ui, sans-serif"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{escape(title)}</title>",
        "<style>",
        "text { fill: #333 } rect { fill: #9aa5b1 } .own { fill: #2563c9 }",
        "@media (prefers-color-scheme: dark) { text { fill: #ddd } }",
        "</style>",
    ]
    for index, (name, value, text) in enumerate(values):
        top, length = 4 + index * _ROW, max(1, round(value / most * (_WIDTH - _LABEL - _VALUE)))
        kind = ' class="own"' if name.startswith(own) else ""
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect{kind} x="{_LABEL}" y="{top + 2}" width="{length}" height="{_ROW - 7}"/>'
            f'<text x="{_LABEL + length + 8}" y="{top + 16}">{escape(text)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
