"""SVG: what gives it its size, what CSS on the root does, and what it draws with."""

from __future__ import annotations

import base64

from .making import Collection, sample, saved

PICTURES = Collection("image/svg+xml")

_DRAWING = (
    '<rect width="100%" height="100%" fill="#fd6"/><rect x="10" y="5" width="40" height="20" fill="#c21"/>'
    '<circle cx="70" cy="40" r="15" fill="#15c" fill-opacity=".6"/>'
)


def _svg(attributes: str = "", content: str = _DRAWING, before: str = "") -> bytes:
    return f'{before}<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{content}</svg>'.encode()


def _styled(css: str, attributes: str = 'viewBox="0 0 96 64"', content: str = _DRAWING) -> bytes:
    return _svg(attributes, f"<style>{css}</style>{content}")


for _unit, _number in {
    "": 96,
    "px": 96,
    "pt": 72,
    "pc": 6,
    "in": 1,
    "cm": 2.54,
    "mm": 25.4,
    "Q": 101.6,
    "em": 6,
    "ex": 12,
    "rem": 6,
    "ch": 12,
    "%": 50,
}.items():
    PICTURES.add(
        f"sides in {_unit or 'nothing'}",
        lambda number, unit: _svg(f'width="{number}{unit}" height="{number * 2 / 3:.4f}{unit}"'),
        _number,
        _unit,
    )
    PICTURES.add(
        f"sides in {_unit or 'nothing'} with a viewBox",
        lambda number, unit: _svg(f'width="{number}{unit}" height="{number * 2 / 3:.4f}{unit}" viewBox="0 0 96 64"'),
        _number,
        _unit,
    )
    if _unit not in ("", "px"):
        PICTURES.add(
            f"a drawing in {_unit}",
            lambda number, unit: _svg(
                'width="96" height="64"',
                f'<rect width="{number / 2}{unit}" height="{number / 3:.4f}{unit}" fill="#c21"/>',
            ),
            _number,
            _unit,
        )

for _name, _attributes in {
    "nothing": "",
    "a viewBox alone": 'viewBox="0 0 96 64"',
    "a viewBox that begins elsewhere": 'viewBox="10 5 96 64"',
    "a viewBox with commas": 'viewBox="0,0,96,64"',
    "a viewBox with a newline": 'viewBox="0 0\n96 64"',
    "a viewBox of no width": 'viewBox="0 0 0 64"',
    "a negative viewBox": 'viewBox="0 0 -96 64"',
    "a large viewBox": 'viewBox="0 0 9600 6400"',
    "a small viewBox": 'viewBox="0 0 .96 .64"',
    "a viewBox of five": 'viewBox="0 0 96 64 1"',
    "a width alone": 'width="96"',
    "a height alone": 'height="64"',
    "a width and a viewBox": 'width="192" viewBox="0 0 96 64"',
    "a height and a viewBox": 'height="128" viewBox="0 0 96 64"',
    "sides of another shape": 'width="100" height="100" viewBox="0 0 96 64"',
    "sides of another shape, none": 'width="100" height="100" viewBox="0 0 96 64" preserveAspectRatio="none"',
    "sides of another shape, slice": 'width="100" height="100" viewBox="0 0 96 64" preserveAspectRatio="xMinYMin slice"',
    "sides of another shape, max": 'width="100" height="200" viewBox="0 0 96 64" preserveAspectRatio="xMaxYMax meet"',
    "no ratio, none": 'viewBox="0 0 96 64" preserveAspectRatio="none"',
    "no sides, slice": 'viewBox="0 0 96 64" preserveAspectRatio="xMidYMid slice"',
    "a fraction": 'width="24.5" height="12.5"',
    "a fraction with a viewBox": 'width="95.3" height="63.7" viewBox="0 0 96 64"',
    "an exponent": 'width="9.6e1" height="6.4E+1"',
    "auto": 'width="auto" height="auto" viewBox="0 0 96 64"',
    "a wrong unit": 'width="96xx" height="64" viewBox="0 0 96 64"',
    "spaces in the unit": 'width=" 96 " height="64 px"',
    "a percentage and a length": 'width="100%" height="64" viewBox="0 0 96 64"',
    "x and y on the root": 'x="20" y="10" width="96" height="64"',
    "a transform on the root": 'width="96" height="64" transform="rotate(20)"',
    "opacity on the root": 'width="96" height="64" opacity=".5"',
    "a style on the root": 'style="width:96px;height:64px" viewBox="0 0 96 64"',
    "a style over sides": 'width="20" height="10" style="width:96px;height:64px" viewBox="0 0 96 64"',
    "a style in mm": 'style="width:25.4mm;height:1in" viewBox="0 0 96 64"',
    "a style with important": 'style="width:96px!important;height:64px" viewBox="0 0 96 64"',
    "a style in em with a font-size": 'style="font-size:10px;width:9.6em;height:6.4em" viewBox="0 0 96 64"',
    "em with a font-size": 'font-size="10" width="9.6em" height="6.4em" viewBox="0 0 96 64"',
    "a background on the root": 'width="96" height="64" style="background:#0c0"',
    "a border on the root": 'width="96" height="64" style="border:5px solid red"',
    "padding on the root": 'width="96" height="64" style="padding:10px"',
    "a fill on the root": 'width="96" height="64" fill="red"',
    "display none on the root": 'width="96" height="64" style="display:none"',
    "overflow visible on the root": 'width="96" height="64" overflow="visible" viewBox="0 0 96 96"',
    "enable-background": 'width="96" height="64" style="enable-background:new 0 0 96 64"',
    "max-width of all": 'width="96" height="64" style="max-width:100%;height:auto" viewBox="0 0 96 64"',
    "max-width in pixels": 'width="96" height="64" style="max-width:48px" viewBox="0 0 96 64"',
    "min-height in pixels": 'width="96" height="64" style="min-height:128px" viewBox="0 0 96 64"',
    "an aspect-ratio": 'width="96" style="aspect-ratio:3/1"',
    "a shape of one by a thousand": 'width="1000" height="1" viewBox="0 0 1000 1"',
}.items():
    PICTURES.add(_name, _svg, _attributes)

for _name, _css in {
    "svg{width:60px}": "svg{width:60px}",
    "svg{width:60px;height:40px}": "svg{width:60px;height:40px}",
    "svg{width:100%}": "svg{width:100%;height:100%}",
    "svg{opacity:.5}": "svg{opacity:.5}",
    "*{opacity:.5}": "*{opacity:.5}",
    "*{width}": "*{width:30px}",
    "*{fill}": "*{fill:green}",
    "svg>rect": "svg>rect{fill:blue}",
    ":root": ":root{width:48px;height:32px}",
    ":root>rect": ":root>rect{fill:blue}",
    "svg:root": "svg:root{fill:lime}",
    "rect:first-child": "rect:first-of-type{fill:blue}",
    "svg{transform}": "svg{transform:rotate(20deg)}",
    "svg{background}": "svg{background:lime}",
    "@media": "@media (min-width:50px){rect{fill:blue}}",
    "@media screen": "@media screen{svg{width:48px;height:32px}}",
    "@media print": "@media print{svg{width:48px;height:32px}}",
    "prefers-color-scheme": "@media (prefers-color-scheme: dark){rect{fill:black}}",
    "a variable": ":root{--c:blue}rect{fill:var(--c)}",
    "important over a style": "svg{width:48px!important}",
    "a CDATA section": "<![CDATA[svg{width:48px;height:32px}]]>",
    "a namespace rule": "@namespace url(http://www.w3.org/2000/svg);rect{fill:blue}",
    "a web font that is not used": "@import url(https://fonts.example/css);rect{fill:blue}",
    "a font-face that is not used": "@font-face{font-family:x;src:url(https://fonts.example/x.woff)}rect{fill:blue}",
}.items():
    PICTURES.add(f"style {_name}", _styled, _css)
PICTURES.add(
    "style svg{width} over attributes",
    _styled,
    "svg{width:48px;height:32px}",
    'width="96" height="64" viewBox="0 0 96 64"',
)
PICTURES.add("style #id", _styled, "#a{width:48px;height:32px}", 'id="a" width="96" height="64" viewBox="0 0 96 64"')
PICTURES.add(
    "style .class", _styled, ".a{width:48px;height:32px}", 'class="b a" width="96" height="64" viewBox="0 0 96 64"'
)
PICTURES.add(
    "style specificity", _styled, "#a{width:48px;height:32px}svg{width:10px;height:10px}", 'id="a" viewBox="0 0 96 64"'
)
PICTURES.add(
    "style of a large size", _styled, "svg{width:6600px;height:4400px}", 'width="96" height="64" viewBox="0 0 96 64"'
)

_PNG = base64.b64encode(saved(sample().resize((24, 16)), "PNG")).decode()
_JPEG = base64.b64encode(saved(sample().resize((24, 16)), "JPEG")).decode()
_GIF = base64.b64encode(saved(sample().resize((24, 16)), "GIF")).decode()
_WEBP = base64.b64encode(saved(sample().resize((24, 16)), "WEBP")).decode()
for _name, _content in {
    "a gradient": '<linearGradient id="g"><stop stop-color="red"/><stop offset="1" stop-color="blue"/></linearGradient><rect width="96" height="64" fill="url(#g)"/>',
    "a use": '<defs><rect id="r" width="30" height="20" fill="red"/></defs><use href="#r" x="5" y="5"/><use xmlns:x="http://www.w3.org/1999/xlink" x:href="#r" x="50" y="30"/>',
    "a clip": '<clipPath id="c"><circle cx="48" cy="32" r="25"/></clipPath><rect width="96" height="64" fill="red" clip-path="url(#c)"/>',
    "a mask": '<mask id="m"><rect width="48" height="64" fill="white"/></mask><rect width="96" height="64" fill="red" mask="url(#m)"/>',
    "a pattern": '<pattern id="p" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="4" height="8" fill="red"/></pattern><rect width="96" height="64" fill="url(#p)"/>',
    "a blur": '<filter id="f"><feGaussianBlur stdDeviation="4"/></filter><rect x="20" y="20" width="50" height="25" fill="red" filter="url(#f)"/>',
    "a nested svg": '<svg x="10" y="10" width="50%" height="50%" viewBox="0 0 10 10"><rect width="10" height="10" fill="red"/></svg>',
    "a symbol": '<symbol id="s" viewBox="0 0 10 10"><circle cx="5" cy="5" r="5" fill="red"/></symbol><use href="#s" width="40" height="40"/>',
    "a switch": '<switch><g requiredExtensions="http://x.example/"/><rect width="50" height="50" fill="red"/></switch>',
    "a script": '<script>document.documentElement.remove()</script><rect width="50" height="50" fill="red"/>',
    "an animation": '<rect width="50" height="50" fill="red"><animate attributeName="x" from="0" to="40" begin="99s" dur="1s"/></rect>',
    "a PNG within": f'<image width="96" height="64" href="data:image/png;base64,{_PNG}"/>',
    "a JPEG within": f'<image width="96" height="64" href="data:image/jpeg;base64,{_JPEG}"/>',
    "a GIF within": f'<image width="96" height="64" href="data:image/gif;base64,{_GIF}"/>',
    "a WebP within": f'<image width="96" height="64" href="data:image/webp;base64,{_WEBP}"/>',
    "an unused reference": '<style>.a{fill:url(https://x.example/#a)}</style><rect width="50" height="50" fill="red"/>',
    "a current colour": '<g color="blue"><rect width="50" height="50" fill="currentColor"/></g>',
    "an hsl colour": '<rect width="96" height="64" fill="hsl(120 60% 40% / 50%)"/>',
    "a stroke": '<path d="M10 10h70v40z" fill="none" stroke="red" stroke-width="6" stroke-dasharray="12 4" stroke-linejoin="round"/>',
    "a marker": '<marker id="m" markerWidth="6" markerHeight="6" refX="3" refY="3"><circle cx="3" cy="3" r="3"/></marker><path d="M10 10h60v40" stroke="red" fill="none" stroke-width="3" marker-end="url(#m)"/>',
    "an evenodd": '<path fill-rule="evenodd" d="M10 10h70v40h-70zM25 20h40v20h-40z" fill="red"/>',
    "mix-blend-mode": '<rect width="60" height="60" fill="red"/><rect x="30" width="60" height="60" fill="lime" style="mix-blend-mode:multiply"/>',
    "an entity": '<rect width="50" height="50" fill="&#114;ed"/>',
    "metadata of an editor": '<metadata><x xmlns="urn:x">text</x></metadata><rect width="50" height="50" fill="red"/>',
}.items():
    PICTURES.add(_name, _svg, 'width="96" height="64"', _content)
PICTURES.add(
    "a missing font",
    _svg,
    'width="96" height="64"',
    '<text x="5" y="40" font-family="No Such Font, sans-serif" font-size="30">Hm</text>',
)
PICTURES.add(
    "text of em",
    _svg,
    'width="96" height="64"',
    '<text x="5" y="40" style="font-size:2em" font-family="sans-serif">Hm</text>',
)
PICTURES.add(
    "a declaration and a doctype",
    _svg,
    'width="96" height="64"',
    _DRAWING,
    '<?xml version="1.0" standalone="no"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n',
)
PICTURES.add(
    "a stylesheet instruction within",
    _svg,
    'width="96" height="64"',
    _DRAWING,
    '<?xml version="1.0"?><?xml-stylesheet type="text/css" href="#s"?>',
)


@PICTURES
def a_prefix() -> bytes:
    return b'<s:svg xmlns:s="http://www.w3.org/2000/svg" width="96" height="64"><s:rect width="50" height="50" fill="red"/></s:svg>'


@PICTURES
def a_prefix_and_a_style() -> bytes:
    return b'<s:svg xmlns:s="http://www.w3.org/2000/svg" viewBox="0 0 96 64"><s:style>svg{width:48px;height:32px}rect{fill:blue}</s:style><s:rect width="50" height="50" fill="red"/></s:svg>'


@PICTURES
def an_entity_of_its_own() -> bytes:
    return b'<!DOCTYPE svg [<!ENTITY c "blue">]><svg xmlns="http://www.w3.org/2000/svg" width="96" height="64"><rect width="50" height="50" fill="&c;"/></svg>'
