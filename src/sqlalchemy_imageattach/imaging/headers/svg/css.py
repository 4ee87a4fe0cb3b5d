"""What styles refer to, as their grammar has it: escapes, comments and strings are what they are to a browser.

It must always be true that

- a reference that a browser would follow is found; one in a rule that holds for nothing comes with the names by which
  its caller can tell;
- the work is bounded by :data:`_MAX_LENGTH`, and what plainly refers to nothing but its own file is not parsed at all.

`CSS Syntax 3 <https://www.w3.org/TR/css-syntax-3/>`_, `Selectors 4 <https://www.w3.org/TR/selectors-4/>`_
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..header import Budget

__all__ = ("Reference", "Styles")

# Characters, in all of a file; a parser goes through a million in three seconds at worst.
_MAX_LENGTH = 256 * 1024
# As many does each text count for besides.
_LEAST = 10

# Nothing else takes a URI, and each is written like this where there is no escape.
_MAY_REFER = re.compile(r"(?:url|src|image|image-set)\(|@import|\\", re.IGNORECASE)
_WITHIN = re.compile(r"""url\(\s*(?:["']\s*)?(?:#|data:)""", re.IGNORECASE)
_TAKE_URIS = frozenset(("url", "src", "image", "image-set", "-webkit-image-set"))

# The middle of what is embedded, which is long, and of no meaning here; an escape or a comment at its edge is kept.
_EMBEDDED = re.compile(r"(?<=[\w+/]{8})[A-Za-z\d+/]{64,}(?=[\w+/]{8})", re.ASCII)

# Rules that hold others, under a condition that is not looked at.
_GROUPS = frozenset(("container", "document", "-moz-document", "layer", "media", "scope", "starting-style", "supports"))
# A font that is not there is another one, and a namespace is a name.
_LOAD_NO_PICTURE = frozenset(("font-face", "namespace"))


class Reference(NamedTuple):
    """What a style refers to."""

    uri: str
    #: Whether it is another style sheet.
    is_import: bool = False
    #: The names of types, ``.classes`` and ``#ids`` in each of the selectors that its rule has: where of every selector
    #: one is missing, the rule holds for nothing.  ``None`` where there are none.
    selectors: tuple[frozenset[str], ...] | None = None


class Styles:
    """The styles of one file."""

    def __init__(self) -> None:
        self._left = Budget(_MAX_LENGTH, "the style of the SVG")

    def in_sheet(self, text: str) -> Iterator[Reference]:
        """Yield what a style sheet refers to.

        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if there is more to read than is worth it
        """
        if not (parsed := self._worth_parsing(text)):
            return
        # Of few drawings a style has to be parsed.
        import tinycss2

        pending: list[Iterable[Any]] = [tinycss2.parse_stylesheet(parsed, skip_comments=True, skip_whitespace=True)]
        while pending:
            for rule in pending.pop():
                if rule.type == "qualified-rule":
                    selectors = tuple(_selectors(rule.prelude))
                    yield from (Reference(uri, selectors=selectors) for uri in _uris(rule.content))
                elif rule.type != "at-rule" or rule.lower_at_keyword in _LOAD_NO_PICTURE:
                    continue
                elif rule.lower_at_keyword == "import":
                    yield from (Reference(uri, is_import=True) for uri in _uris(rule.prelude, is_argument=True))
                elif rule.lower_at_keyword in _GROUPS and rule.content is not None:
                    pending.append(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
                else:
                    yield from map(Reference, _uris(rule.content))

    def in_value(self, text: str) -> Iterator[Reference]:
        """Yield what the value of a property refers to, or several declarations.

        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: as :meth:`in_sheet`
        """
        if parsed := self._worth_parsing(text):
            import tinycss2

            yield from map(Reference, _uris(tinycss2.parse_component_value_list(parsed, skip_comments=True)))

    def _worth_parsing(self, text: str) -> str:
        """What of a style has to be parsed; nothing, where it cannot refer to anything outside."""
        if not _MAY_REFER.search(_WITHIN.sub("", text)):
            return ""
        text = _EMBEDDED.sub("", text)
        self._left.spend(len(text) + _LEAST)
        return text


def _uris(values: Iterable[Any] | None, *, is_argument: bool = False) -> Iterator[str]:
    """Yield the URIs among component values.

    :param is_argument: whether strings are URIs too, as the arguments of some functions
    """
    pending = [(values or (), is_argument)]
    while pending:
        values, is_argument = pending.pop()
        for value in values:
            if value.type == "url" or (value.type == "string" and is_argument):
                yield value.value
            elif value.type == "function":
                pending.append((value.arguments, value.lower_name in _TAKE_URIS))
            elif value.type.endswith(" block"):
                pending.append((value.content, False))


def _selectors(prelude: Iterable[Any]) -> Iterator[frozenset[str]]:
    """Yield the names in each selector; what is within brackets, or follows a colon, asks for no name."""
    names: set[str] = set()
    before, last = "", None
    for part in prelude:
        before_this, before = before, part.value if part.type == "literal" else ""
        if before == ",":
            yield frozenset(names)
            names = set()
        elif before == "|" and last is not None:
            # It was the prefix of a namespace.
            names.discard(last)
        last = None
        if part.type == "hash":
            names.add(f"#{part.value.lower()}")
        elif part.type == "ident" and before_this != ":":
            last = f".{part.value.lower()}" if before_this == "." else part.value.lower()
            names.add(last)
    yield frozenset(names)
