"""Headers of SVG: its size as a browser gives it to an image, and that it loads nothing.

An SVG is a program for a renderer, and no check can tell what it costs: that is why one is rendered in a process of its
own (see :mod:`.worker`).  What must always be true of one that is accepted here:

- It names nothing outside itself.  The renderer is given bytes, never a path, and loads nothing; but a picture that
  would come out with holes, or that asks for ``/etc/passwd``, is refused, and says why.
- It is not much larger when it is parsed than it is: what is declared once may be used a million times, as an entity,
  a default attribute or a name of a namespace.

`SVG 2, 5 and 7 <https://www.w3.org/TR/SVG2/>`_, `CSS Images 3, 5.2
<https://www.w3.org/TR/css-images-3/#default-sizing>`_
"""

from __future__ import annotations

import contextlib
import re
from xml.parsers import expat

from ...exc import InvalidImageError
from .header import Budget, Header, damaged, truncated

__all__ = ("framed", "read", "sniff")

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

# CSS Values 3, 5 and 6: pixels in each unit; em and ex are those of the initial font.
_UNITS = {
    "": 1.0,
    "px": 1.0,
    "pt": 4 / 3,
    "pc": 16.0,
    "in": 96.0,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "q": 96 / 101.6,
    "em": 16.0,
    "ex": 8.0,
}
_LENGTH = re.compile(r"\s*\+?((?:\d{1,99}\.?\d{0,99}|\.\d{1,99})(?:e[+-]?\d{1,3})?)([a-z]*)\s*", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\s,]+")

# The size of an image that has neither sides nor a ratio: CSS Images 3, 5.2.
_DEFAULT_WIDTH, _DEFAULT_HEIGHT = 300.0, 150.0

_CSS_URL = re.compile(r"""url\(\s*["']?([^"')]*)|@import\s*["']([^"']*)""", re.IGNORECASE)

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
    """Tells whether the bytes are XML with an ``<svg>`` at its root; the rest is for :func:`read` to judge."""
    if not bytes(data[:512]).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"<"):
        return False
    name, _ = _root(data)
    return name == _ROOT


def _root(data: memoryview) -> tuple[str | None, int]:
    """Finds the name of the root element, and where it begins."""
    found: str | None = None
    at = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal found, at
        found, at = name, parser.CurrentByteIndex
        raise _RootSeen

    content = bytes(data[:_MAX_BYTES])
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EntityDeclHandler = _Prolog(content).entity
    with contextlib.suppress(_RootSeen, expat.ExpatError):
        parser.Parse(content, True)
    return found, at


def framed(data: memoryview, header: Header, width: int, height: int) -> bytes:
    """Puts an SVG into another one of a given size, so that any renderer takes it for as large as a browser does.

    :param header: what :func:`read` told
    :param width: what the renderer is to make, in pixels
    :param height: what the renderer is to make, in pixels
    """
    _, at = _root(data)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {header.width} {header.height}" preserveAspectRatio="none">'
    )
    encoding = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(bytes(data[:2]), "ascii")
    return b"".join((data[:at], start.encode(encoding), data[at:], "</svg>".encode(encoding)))


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
    parser.CharacterDataHandler = document.text
    parser.EntityDeclHandler = document.entity
    parser.ProcessingInstructionHandler = document.instruction
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        if error.code in _CUT_OFF:
            raise truncated("the SVG ends before its root element does") from None
        raise damaged(f"the SVG is not well-formed: {error}") from None
    width, height = _size(document.root or {})
    if not (width < _MAX_SIDE and height < _MAX_SIDE):
        raise InvalidImageError(
            f"expected an SVG of a reasonable size, got {width:g}x{height:g} pixels", reason="too_many_pixels"
        )
    return Header("image/svg+xml", max(1, round(width)), max(1, round(height)))


def _size(root: dict[str, str]) -> tuple[float, float]:
    """Finds the size of an SVG that nothing around it determines: `CSS Images 3, 5.2 <https://www.w3.org/TR/css-images-3/#default-sizing>`_."""
    width, height, ratio = _length(root.get("width")), _length(root.get("height")), None
    box = _SEPARATOR.split(root.get("viewBox", "").strip())
    if len(box) == 4 and (box_width := _length(box[2])) and (box_height := _length(box[3])):
        ratio = box_width / box_height
        # The renderer takes it for the size of an SVG that has none, and it fails on a gigantic one.
        if width is None and height is None and max(box_width, box_height) > 2**24:
            return box_width, box_height
    if width is not None and height is not None:
        return width, height
    if ratio is None:
        return width or _DEFAULT_WIDTH, height or _DEFAULT_HEIGHT
    if width is not None:
        return width, width / ratio
    if height is None:
        height = min(_DEFAULT_WIDTH / ratio, _DEFAULT_HEIGHT)
    return height * ratio, height


def _length(text: str | None) -> float | None:
    """Reads a length in pixels; ``None`` for a percentage, and for what a browser ignores."""
    if text is None or not (found := _LENGTH.fullmatch(text)):
        return None
    pixels = float(found[1]) * _UNITS.get(found[2].lower(), 0.0)
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
        self._style: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        size = len(name) + sum(map(len, attributes)) + sum(map(len, attributes.values()))
        self._parts.spend(1 + len(attributes) + size // _SIZE_OF_A_PART)
        if self.root is None:
            self.root = attributes
        element = name.rpartition(" ")[2]
        if element == "style":
            self._style = []
        for key, value in attributes.items():
            if key.rpartition(" ")[2] in ("href", "src"):
                # A link is followed by a reader, not by the renderer.
                if element != "a":
                    self._refer(value.strip(), f"<{element}>")
            else:
                self._refer_css(value)

    def end(self, name: str) -> None:
        if self._style is not None:
            self._refer_css("".join(self._style))
            self._style = None

    def text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

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
            self._refer(system, f"the entity {name}")

    def instruction(self, target: str, text: str) -> None:
        if target == "xml-stylesheet":
            self._refer(text, "a stylesheet")

    def _refer_css(self, css: str) -> None:
        for found in _CSS_URL.finditer(css):
            self._refer((found[1] or found[2] or "").strip(), "a style")

    def _refer(self, uri: str, where: str) -> None:
        if uri and not uri.startswith("#") and uri[:5].lower() != "data:":
            raise damaged(
                f"{where} of the SVG refers to {uri[:80]!r}; nothing outside is loaded, so embed it as a data: URI"
            )
