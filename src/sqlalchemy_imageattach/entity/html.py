"""HTML for images, escaped.

Everything here is a function of texts and numbers; what an ``<img>`` element may have is in `the HTML standard`__.

__ https://html.spec.whatwg.org/multipage/embedded-content.html#the-img-element
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

__all__ = ("img",)

# What ends a name, or begins something else, in a start tag.
_NO_NAME = re.compile(r"[\s\0\"'<>/=`]|^$")


def img(url: str, width: int, height: int, **attributes: object) -> Markup:
    """Make an ``<img>`` element.

    :param url: the value of ``src``
    :param width: pixels
    :param height: pixels
    :param attributes: more attributes, such as ``alt``, ``loading="lazy"`` or ``decoding="async"``, in this order; one
        underscore at the end of a name is dropped (``class_``) and others are hyphens (``data_id``); ``True`` is an
        attribute without a value, ``None`` and ``False`` are none
    :returns: the element, with every value escaped
    :raises ValueError: when a name cannot be that of an attribute

    >>> print(img("/1.png?a=1&b=2", 640, 480))
    <img src="/1.png?a=1&amp;b=2" width="640" height="480">
    >>> print(img("/1.png", 640, 480, alt='"Ann"', class_="round", hidden=True))
    <img src="/1.png" width="640" height="480" alt="&#34;Ann&#34;" class="round" hidden>
    """
    values: dict[str, object] = {"src": url, "width": width, "height": height}
    for name, value in attributes.items():
        values[name.removesuffix("_").replace("_", "-")] = value
    parts: list[str] = []
    for name, value in values.items():
        if _NO_NAME.search(name):
            raise ValueError(f"expected the name of an HTML attribute, not {name!r}")
        if value is True:
            parts.append(f" {name}")
        elif value is not None and value is not False:
            parts.append(f' {name}="{escape(value)}"')
    return Markup(f"<img{''.join(parts)}>")  # noqa: S704  # names are checked and values escaped, above
