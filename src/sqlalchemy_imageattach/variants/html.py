"""HTML for images, escaped.

Everything here is a function of texts and numbers; what elements may have is in `the HTML standard`__.

__ https://html.spec.whatwg.org/multipage/embedded-content.html#the-img-element
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup, escape

__all__ = ("by_html_names", "element", "img")

# What ends a name, or begins something else, in a start tag.
_NO_NAME = re.compile(r"[\s\0\"'<>/=`]|^$")


def img(url: str, width: int, height: int, /, **attributes: object) -> Markup:
    """Make an ``<img>`` element.

    :param url: the value of ``src``
    :param width: pixels
    :param height: pixels
    :param attributes: more attributes, or others in place of these, such as ``alt`` or ``loading="lazy"``; one
        underscore at the end of a name is dropped (``class_``) and others are hyphens (``data_id``); ``True`` is an
        attribute without a value, ``None`` and ``False`` are none
    :returns: the element, with every value escaped
    :raises ValueError: when a name cannot be that of an attribute

    >>> print(img("/1.png?a=1&b=2", 640, 480))
    <img src="/1.png?a=1&amp;b=2" width="640" height="480">
    >>> print(img("/1.png", 640, 480, alt='"Ann"', class_="round", hidden=True))
    <img src="/1.png" width="640" height="480" alt="&#34;Ann&#34;" class="round" hidden>
    """
    return element("img", {"src": url, "width": width, "height": height} | by_html_names(attributes))


def element(name: str, attributes: Mapping[str, object]) -> Markup:
    """Make the start tag of an element.

    :param name: its name
    :param attributes: its attributes, by the names that HTML has for them; ``True`` is an attribute without a value,
        ``None`` and ``False`` are none
    :returns: the tag, with every value escaped
    :raises ValueError: when a name cannot be that of an attribute

    >>> print(element("source", {"media": "(width < 600px)", "srcset": None}))
    <source media="(width &lt; 600px)">
    """
    parts: list[str] = []
    for attribute, value in attributes.items():
        if _NO_NAME.search(attribute):
            raise ValueError(f"expected the name of an HTML attribute, not {attribute!r}")
        if value is True:
            parts.append(f" {attribute}")
        elif value is not None and value is not False:
            parts.append(f' {attribute}="{escape(value)}"')
    return Markup(f"<{name}{''.join(parts)}>")  # noqa: S704  # names are checked and values escaped, above


def by_html_names(attributes: Mapping[str, object]) -> dict[str, object]:
    """Give attributes the names that HTML has for them.

    :param attributes: by names that Python takes
    :returns: the same by other names

    >>> by_html_names({"class_": "round", "data_id": 1})
    {'class': 'round', 'data-id': 1}
    """
    return {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
