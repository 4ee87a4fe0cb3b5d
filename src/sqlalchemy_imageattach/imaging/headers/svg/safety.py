"""What an SVG would do, were it opened by itself: run a script, or load something from elsewhere.

As an ``<img>``, an SVG does neither, and served by this library it may not; but whoever opens it from a bucket gives it
the rights of a page.  So an SVG that could act is refused as ``unsafe``, and what cannot is kept: links that a reader
may follow, comments, the elements of editors, styles of things that are not there.  What must always be true:

- It is decided on what parsers of XML and CSS say, as browsers have them, and never on the text.
- Fonts are no reason to refuse: where one is missing, another one is taken.

`SVG 2, 16 <https://www.w3.org/TR/SVG2/linking.html>`_, `HTML, 4.8 <https://html.spec.whatwg.org/#embedded-content>`_
"""

from __future__ import annotations

import base64
import re

from ....exc import InvalidImageError
from ..header import Budget, damaged
from .css import Reference, Styles

__all__ = ("Safety",)

# An element of another namespace does nothing, whatever its name is; one without any is looked at all the same.
_HTML = "http://www.w3.org/1999/xhtml"
_ACTING = frozenset(
    ("", "http://www.w3.org/2000/svg", _HTML, "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2001/XInclude")
)
_XLINK = "http://www.w3.org/1999/xlink"

_SCRIPTS = frozenset(("handler", "script"))
# Other pages within, and what changes what all references mean.
_PAGES = frozenset(("applet", "base", "embed", "fencedframe", "frame", "frameset", "iframe", "object", "portal"))
_FONTS = frozenset(("definition-src", "font-face", "font-face-uri"))
_ANIMATIONS = frozenset(("animate", "animatecolor", "animatemotion", "animatetransform", "set"))
_ANIMATED = frozenset(("by", "from", "to", "values"))

# Attributes by what a browser does with what they name.
_LOADED = frozenset(("href", "poster", "src"))
_LOADED_IN_HTML = frozenset(("background", "code", "data", "dynsrc", "lowsrc"))
_LOADED_LISTS = frozenset(("imagesrcset", "srcset"))
_FOLLOWED = frozenset(("action", "formaction"))
# It has a text that is not a style.
_TEXT = re.compile("aria-|data-|xml|(?:id|class|d|points|transform|name|title|lang|type)$")

# What a browser leaves out of a URI: at its ends, and anywhere.
_AROUND = "".join(map(chr, range(0x21)))
_ANYWHERE = str.maketrans("", "", "\t\n\r")
_SCRIPT_URI = re.compile(r"(?:javascript|vbscript|livescript):|data:\s*[\w.+/-]*(?:html|xml|svg)", re.IGNORECASE)
_WEB_FONT = re.compile(r"(?:https?:)?//\S*\b(?:fonts?|typekit)\b", re.IGNORECASE)
_MAX_VALUES = 100_000
_PSEUDO_ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

# The first bytes of what is embedded, of which the renderer draws PNG, JPEG and SVG.
_EMBEDDED = re.compile(r"data:[^,]*;base64,\s*([A-Za-z\d+/]{16})", re.IGNORECASE | re.ASCII)
_UNDRAWN = re.compile(rb"GIF8|RIFF|BM|....ftyp|II\*\x00|MM\x00\*|\x00\x00\x01\x00", re.DOTALL)


class Safety:
    """What is known so far of what an SVG would do; a parser tells it what it has read.

    Each method raises :exc:`~sqlalchemy_imageattach.exc.InvalidImageError` as soon as it is known to act.
    """

    def __init__(self) -> None:
        self._styles = Styles()
        self._values = Budget(_MAX_VALUES, "an animation of the SVG")
        #: The elements that are open; of those that hold a style, what was read of it.
        self._open: list[list[str] | None] = []
        #: The names of elements, ``.classes`` and ``#ids`` that there are, or that an animation may make.
        self._names: set[str] = set()
        #: What rules refer to that hold if there is something of these names.
        self._conditional: list[Reference] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, element = name.rpartition(" ")
        element = element.lower()
        self._names.add(element)
        self._open.append([] if element == "style" and namespace in _ACTING else None)
        for key in ("class", "id"):
            self._name(key, attributes.get(key, ""))
        if namespace not in _ACTING:
            return
        if element in _SCRIPTS:
            raise _unsafe(f"a <{element}>")
        if element in _PAGES:
            raise _unsafe(f"an HTML <{element}>")
        if element == "meta" and "refresh" in attributes.get("http-equiv", "").lower():
            raise _unsafe("an HTML <meta> that leads elsewhere")
        animated = ""
        if element in _ANIMATIONS:
            animated = attributes.get("attributeName", "").rpartition(":")[2].strip().lower()
        for key, value in attributes.items():
            space, _, attribute = key.rpartition(" ")
            attribute = attribute.lower()
            if (not space or (space == _XLINK and attribute == "href")) and value:
                if animated and attribute in _ANIMATED:
                    self._animated(animated, value, is_list=attribute == "values")
                else:
                    self._attribute(namespace, element, attribute, value)

    def end(self) -> None:
        style = self._open.pop()
        if style:
            for reference in self._styles.in_sheet("".join(style)):
                self._style(reference)

    def text(self, text: str) -> None:
        if self._open and (style := self._open[-1]) is not None:
            style.append(text)

    def instruction(self, target: str, text: str) -> None:
        if target != "xml-stylesheet":
            return
        for name, *values in _PSEUDO_ATTRIBUTE.findall(text):
            value = "".join(values).strip()
            if name == "type" and value not in ("", "text/css"):
                # It would make another document of this one.
                raise _unsafe(f"an xml-stylesheet of the type {value[:80]!r}")
            if name == "href":
                _check_sheet(value, "an xml-stylesheet")

    def entity(self, name: str, system: str) -> None:
        raise _refers(f"the entity {name}", system)

    def finish(self) -> None:
        """Judge what only the whole file tells: which rules hold for something."""
        for reference in self._conditional:
            if any(names <= self._names for names in reference.selectors or ()):
                raise _refers("a style", reference.uri)

    def _name(self, attribute: str, value: str) -> None:
        mark = {"class": ".", "id": "#"}.get(attribute, "")
        self._names.update(f"{mark}{each}" for each in value.lower().split())

    def _attribute(self, namespace: str, element: str, attribute: str, value: str) -> None:
        if attribute.startswith("on") and value.strip():
            raise _unsafe(f"the event attribute {attribute}")
        if attribute == "srcdoc":
            raise _unsafe("a page within, by srcdoc")
        is_link = element in ("a", "area") or namespace.endswith("MathML")
        if attribute in _FOLLOWED or (attribute == "href" and is_link):
            if _SCRIPT_URI.match(_plain(value)):
                raise _unsafe(f"a link that runs a script: {value[:80]!r}")
        elif attribute == "href" and element == "link":
            _check_sheet(value, "an HTML <link>")
        elif attribute in _LOADED or (attribute in _LOADED_IN_HTML and namespace == _HTML):
            if element not in _FONTS:
                _check_loaded(element, value)
        elif attribute in _LOADED_LISTS:
            for each in value.split():
                if _is_outside(each) and not re.fullmatch(r"[\d.]+[wxh],?", each):
                    raise _refers(f"<{element}>", each)
        elif not _TEXT.match(attribute):
            for reference in self._styles.in_value(value):
                self._style(reference)

    def _animated(self, attribute: str, value: str, *, is_list: bool) -> None:
        """Judge what an animation makes of an attribute."""
        if attribute.startswith("on"):
            raise _unsafe(f"an animation of the event attribute {attribute}")
        self._name(attribute, value.replace(";", " "))
        if attribute in _LOADED:
            self._values.spend(value.count(";"))
            # Browsers divide a list at each semicolon, also at one within a URI of data.
            for each in value.split(";") if is_list else [value]:
                if _is_outside(each) or _SCRIPT_URI.match(_plain(each)):
                    raise _refers(f"an animation of {attribute}", each)
        for reference in self._styles.in_value(value):
            self._style(reference)

    def _style(self, reference: Reference) -> None:
        if reference.is_import:
            _check_sheet(reference.uri, "a style")
        elif _is_outside(reference.uri):
            if reference.selectors is None:
                raise _refers("a style", reference.uri)
            self._conditional.append(reference)


def _plain(uri: str) -> str:
    return uri.strip(_AROUND).translate(_ANYWHERE)


def _is_outside(uri: str) -> bool:
    uri = _plain(uri)
    return bool(uri) and not uri.startswith("#") and uri[:5].lower() != "data:"


def _check_loaded(element: str, uri: str) -> None:
    """Check what is drawn, or taken into the drawing."""
    if _is_outside(uri) or (element != "image" and element != "feimage" and _SCRIPT_URI.match(_plain(uri))):
        raise _refers(f"<{element}>", uri)
    embedded = _EMBEDDED.match(_plain(uri))
    if embedded and _UNDRAWN.match(base64.b64decode(embedded[1])):
        raise damaged("the SVG embeds a picture that is not drawn here; embed it as a PNG or a JPEG")


def _check_sheet(uri: str, where: str) -> None:
    """Check a style sheet: one that is not there is missed, but one of fonts."""
    uri = _plain(uri)
    if (_is_outside(uri) and not _WEB_FONT.match(uri)) or uri[:5].lower() == "data:":
        raise _refers(where, uri)


def _unsafe(what: str) -> InvalidImageError:
    return InvalidImageError(
        f"expected an SVG that does nothing when it is opened by itself, got one with {what}; save it without",
        reason="unsafe",
    )


def _refers(where: str, uri: str) -> InvalidImageError:
    return InvalidImageError(
        f"expected an SVG that loads nothing, got one in which {where} refers to {uri.strip()[:80]!r}; "
        "nothing outside is loaded, so embed it as a data: URI",
        reason="unsafe",
    )
