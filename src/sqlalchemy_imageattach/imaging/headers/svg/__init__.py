"""Headers of SVG: its size as a browser gives it to an image, and that it loads nothing.

An SVG is a program for a renderer, and no check can tell what it costs: that is why one is rendered in a process of its
own (see :mod:`.worker`).  What must always be true of one that is accepted here:

- It would do nothing if it were opened by itself, see :mod:`.safety`.  The renderer is given bytes, never a path,
  and loads nothing.
- It is not much larger when it is parsed than it is: what is declared once may be used a million times, as an entity,
  a default attribute or a name of a namespace.

`SVG 2, 5 and 7 <https://www.w3.org/TR/SVG2/>`_, `CSS Images 3, 5.2
<https://www.w3.org/TR/css-images-3/#default-sizing>`_
"""

from __future__ import annotations

import contextlib
import math
import re
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from ....exc import InvalidImageError
from ..header import Budget, Header, damaged, truncated
from .safety import Safety

__all__ = ("read", "sized", "sniff")

_ROOT = "http://www.w3.org/2000/svg svg"

# A renderer needs a hundred bytes of memory for each byte of markup.
_MAX_BYTES = 8 * 1024 * 1024
# Elements, attributes and declarations.
_MAX_PARTS = 500_000
_PARTS_OF_AN_ENTITY = 10
# Characters; what is longer counts as more.
_SIZE_OF_A_PART = 64
_REFERENCE = re.compile("&[^#]")
_MAX_SIDE = 2**31

# CSS Values 4, 5 and 6: pixels in each unit, and ems in each that depends on the font.
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6}
_FONT_UNITS = {"em": 1.0, "rem": 1.0, "ex": 0.5, "ch": 0.5, "ic": 1.0}
_FONT_SIZE = 16.0
_LENGTH = re.compile(r"\s*\+?((?:\d{1,99}\.?\d{0,99}|\.\d{1,99})(?:e[+-]?\d{1,3})?)([a-z]*)\s*", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\s,]+")
_FONT_SIZE_STYLE = re.compile(r"(?:^|;)\s*font-size\s*:([^;!]+)", re.IGNORECASE)

# The size of an image that has neither sides nor a ratio: CSS Images 3, 5.2.
_DEFAULT_WIDTH, _DEFAULT_HEIGHT = 300.0, 150.0

# Errors of expat that come at the end only: it ends too soon.
_CUT_OFF = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
    )
)


class _RootSeen(Exception):
    """Stops a parser; only the root was asked for."""


def sniff(data: memoryview) -> bool:
    """Tell whether the bytes are XML with an ``<svg>`` at its root; the rest is for :func:`read` to judge."""
    if not bytes(data[:512]).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"<"):
        return False
    name, _, _ = _root(data)
    return name == _ROOT


def _root(data: memoryview) -> tuple[str | None, int, dict[str, str]]:
    """Find the name of the root element, where it begins, and its attributes."""
    found: str | None = None
    at, attributes = 0, dict[str, str]()

    def start(name: str, its: dict[str, str]) -> None:
        nonlocal found, at, attributes
        found, at, attributes = name, parser.CurrentByteIndex, its
        raise _RootSeen

    content = bytes(data[:_MAX_BYTES])
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EntityDeclHandler = _Prolog(content).entity
    with contextlib.suppress(_RootSeen, expat.ExpatError):
        _parse(parser, content)
    return found, at, attributes


def _parse(parser: expat.XMLParserType, content: bytes) -> None:
    try:
        parser.Parse(content, True)
    except InvalidImageError:
        raise
    except (LookupError, ValueError) as error:
        # Python looks encodings up for expat: some it doesn't know, and some are not one byte for one character.
        raise damaged(f"the XML is in an encoding that is not read ({error}); save it as UTF-8") from None


# What the start tag of the root consists of, and those of its attributes that give the drawing its size and place.
_ATTRIBUTE = re.compile(r"""\s+([^\s=<>"'/]+)\s*=\s*("[^"]*"|'[^']*')""")
_PLACING = frozenset(("width", "height", "viewBox", "preserveAspectRatio", "x", "y", "style", "transform"))
# By how much two ratios may differ that were the same before somebody rounded.
_SAME_RATIO = 0.01

_TRANSFORM = re.compile(r"(?:^|;)\s*transform\s*:([^;!]+)")
_TRANSFORM_OF_ROOT = re.compile(r"(?:svg|:root)\s*\{[^{}]*?transform\s*:([^;!}]+)")
_PERCENTAGE = re.compile(r"\s*\+?(\d{1,9}\.?\d{0,9})%\s*")
# Of a box without width or height, nothing is drawn.
_SHOWS_NOTHING = re.compile(r"\s*\S+[\s,]+\S+[\s,]+(?:[+]?0*\.?0*[\s,]+\S+|\S+[\s,]+[+]?0*\.?0*)\s*")

_DECLARED_ENCODING = re.compile(r"^<\?xml[^>]*\?>")
# Units that the renderer doesn't know, in tags and in styles.
_PLACES_OF_UNITS = re.compile(r"<style\b.*?</style|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_OTHER_UNIT = re.compile(r"""(?<=[\s"':(,])([+-]?(?:\d+\.?\d*|\.\d+))(rem|Q|ch)(?=[\s"';),}!])""")


def sized(data: memoryview, width: int, height: int) -> bytes:
    """Give the root of an SVG another size, and all of the drawing with it, as a browser does for an image.

    Whatever a style says of the size of the root does not count in an image, nor does where the root is.

    :param data: the whole file, which :func:`read` accepted
    :param width: what the renderer is to make, in pixels
    :param height: what the renderer is to make, in pixels
    """
    if bytes(data[:2]) in (b"\xff\xfe", b"\xfe\xff"):
        text = _DECLARED_ENCODING.sub("", bytes(data).decode("utf-16"))
        return sized(memoryview(text.encode()), width, height)
    _, at, attributes = _root(data)
    # Whatever the encoding is, all that is looked for is ASCII.
    text = bytes(data).decode("latin-1")
    tag = re.compile(r"<[^\s/>]+").match(text, at)
    assert tag is not None
    end = tag.end()
    kept = []
    while found := _ATTRIBUTE.match(text, end):
        end = found.end()
        if found[1] not in _PLACING:
            kept.append(found[0])
    natural = _size(attributes)
    box, fit = attributes.get("viewBox", ""), attributes.get("preserveAspectRatio", "")
    if (shape := _view_box(attributes)) is not None:
        if abs(natural[0] / natural[1] / shape - 1) < _SAME_RATIO:
            fit = "none"
    elif not _SHOWS_NOTHING.fullmatch(box):
        sides = (
            _share(attributes.get(name, "")) * side for name, side in zip(("width", "height"), natural, strict=True)
        )
        box, fit = "0 0 {:.17g} {:.17g}".format(*sides), "none"
    placing: dict[str, object] = {"width": width, "height": height, "viewBox": box, "preserveAspectRatio": fit}
    style = attributes.get("style", "")
    turn = f"translate({width / 2}{{0}},{height / 2}{{0}}) scale({width / natural[0]},{height / natural[1]}) {{1}}"
    turn += f" scale({natural[0] / width},{natural[1] / height}) translate({-width / 2}{{0}},{-height / 2}{{0}})"
    if styled := _TRANSFORM.findall(style) or _TRANSFORM_OF_ROOT.findall(text):
        style += ";transform:" + turn.format("px", styled[-1])
    elif "transform" in attributes:
        placing["transform"] = turn.format("", attributes["transform"])
    placing["style"] = f"{style};width:{width}px!important;height:{height}px!important;display:inline!important"
    if "font-size" not in attributes:
        placing["font-size"] = _FONT_SIZE
    written = "".join(f" {name}={quoteattr(str(value))}" for name, value in placing.items())
    root = tag[0].encode("latin-1") + written.encode("ascii", "xmlcharrefreplace") + "".join(kept).encode("latin-1")
    rest = _PLACES_OF_UNITS.sub(lambda place: _OTHER_UNIT.sub(_in_pixels, place[0]), text[end:])
    return text[:at].encode("latin-1") + root + rest.encode("latin-1")


def _share(side: str) -> float:
    """Read a percentage, which is that of what shows the SVG, where nothing else gives the drawing a size."""
    found = _PERCENTAGE.fullmatch(side)
    return float(found[1]) / 100 if found and float(found[1]) else 1.0


def _in_pixels(length: re.Match[str]) -> str:
    unit = length[2].lower()
    pixels = _UNITS[unit] if unit in _UNITS else _FONT_UNITS[unit] * _FONT_SIZE
    return f"{float(length[1]) * pixels:g}px"


def read(data: memoryview) -> Header:
    if len(data) > _MAX_BYTES:
        raise InvalidImageError(
            f"expected an SVG of at most {_MAX_BYTES} bytes, got {len(data)}; simplify it", reason="too_many_bytes"
        )
    content = bytes(data)
    document = _Document(content)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.safety.text
    parser.EntityDeclHandler = document.entity
    parser.ProcessingInstructionHandler = document.safety.instruction
    parser.buffer_text = True
    try:
        _parse(parser, content)
    except expat.ExpatError as error:
        if error.code in _CUT_OFF:
            raise truncated("the SVG ends before its root element does") from None
        raise damaged(f"the SVG is not well-formed: {error}") from None
    document.safety.finish()
    width, height = _size(document.root or {})
    if not (width < _MAX_SIDE and height < _MAX_SIDE):
        raise InvalidImageError(
            f"expected an SVG of a reasonable size, got {width:g}x{height:g} pixels", reason="too_many_pixels"
        )
    # Half a pixel is one.
    return Header("image/svg+xml", max(1, int(width + 0.5)), max(1, int(height + 0.5)))


def _size(root: dict[str, str]) -> tuple[float, float]:
    """Find the size of an SVG that nothing around it determines: `CSS Images 3, 5.2 <https://www.w3.org/TR/css-images-3/#default-sizing>`_."""
    em = _font_size(root)
    width, height, ratio = _length(root.get("width"), em), _length(root.get("height"), em), _view_box(root)
    if width is not None and height is not None:
        return width, height
    if ratio is None or root.get("preserveAspectRatio", "").strip().startswith("none"):
        return width or _DEFAULT_WIDTH, height or _DEFAULT_HEIGHT
    if width is not None:
        return width, width / ratio
    if height is None:
        height = min(_DEFAULT_WIDTH / ratio, _DEFAULT_HEIGHT)
    return height * ratio, height


def _view_box(root: dict[str, str]) -> float | None:
    """Tell the ratio of the sides of what is shown; ``None`` where all is, or what is said has no meaning."""
    box = _SEPARATOR.split(root.get("viewBox", "").strip())
    if len(box) == 4 and (width := _length(box[2])) and (height := _length(box[3])):
        ratio = width / height
        return ratio if 0 < ratio < math.inf else None
    return None


def _font_size(root: dict[str, str]) -> float:
    styled = _FONT_SIZE_STYLE.findall(root.get("style", ""))
    return _length(styled[-1] if styled else root.get("font-size")) or _FONT_SIZE


def _length(text: str | None, em: float = _FONT_SIZE) -> float | None:
    """Read a length in pixels; ``None`` for a percentage, and for what a browser ignores."""
    if text is None or not (found := _LENGTH.fullmatch(text)):
        return None
    unit = found[2].lower()
    pixels = float(found[1]) * (_UNITS[unit] if unit in _UNITS else em * _FONT_UNITS.get(unit, 0.0))
    return pixels if pixels > 0 else None


class _Prolog:
    """What a parser tells its handlers up to the root."""

    def __init__(self, content: bytes) -> None:
        self._parts = Budget(_MAX_PARTS, "the SVG")
        # As many as there can be.
        self._references = content.count(b"&")

    def entity(
        self,
        name: str,
        parameter: bool,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        notation: str | None,
    ) -> None:
        self._parts.spend(_PARTS_OF_AN_ENTITY)
        if value is None:
            return
        if parameter or _REFERENCE.search(value):
            raise damaged(f"the entity {name} of the SVG is one of others; write what it stands for")
        if len(value) * self._references > _MAX_BYTES:
            raise damaged(f"the entity {name} of the SVG stands for too much; write it where it is used")


class _Document(_Prolog):
    """What a parser tells its handlers."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.root: dict[str, str] | None = None
        self.safety = Safety()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        size = len(name) + sum(map(len, attributes)) + sum(map(len, attributes.values()))
        self._parts.spend(1 + len(attributes) + size // _SIZE_OF_A_PART)
        if self.root is None:
            self.root = attributes
        self.safety.start(name, attributes)

    def end(self, name: str) -> None:
        self.safety.end()

    def entity(
        self,
        name: str,
        parameter: bool,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        notation: str | None,
    ) -> None:
        super().entity(name, parameter, value, base, system, public, notation)
        if system is not None:
            self.safety.entity(name, system)
