from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from sqlalchemy_imageattach.variants.html import img


def parsed(markup: str) -> list[tuple[str, dict[str, str | None]]]:
    elements: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: elements.append((tag, dict(attrs)))  # type: ignore[method-assign]
    parser.handle_data = lambda data: elements.append((data, {}))  # type: ignore[method-assign]
    parser.feed(markup)
    parser.close()
    return elements


def test_plain_element_is_that_of_the_guide() -> None:
    assert img("/1.png", 640, 480) == '<img src="/1.png" width="640" height="480">'


def test_attributes_are_in_their_order() -> None:
    markup = img("/1.png", 2, 1, alt="Ann", loading="lazy", decoding="async", class_="round", data_user_id=5)
    attributes = 'alt="Ann" loading="lazy" decoding="async" class="round" data-user-id="5"'
    assert markup == f'<img src="/1.png" width="2" height="1" {attributes}>'


def test_true_is_an_attribute_without_a_value_and_false_is_none() -> None:
    markup = img("/1.png", 2, 1, hidden=True, ismap=False, alt="")
    assert markup == '<img src="/1.png" width="2" height="1" hidden alt="">'


def test_markup_in_an_attribute_is_a_text_like_any_other() -> None:
    assert img("/1.png", 2, 1, alt="<b>") == '<img src="/1.png" width="2" height="1" alt="&lt;b&gt;">'


@given(st.text(), st.text())
def test_no_value_breaks_out_of_its_attribute(url: str, alt: str) -> None:
    # HTML has no carriage returns or null characters: parsers replace them.
    url, alt = (text.replace("\r", "").replace("\0", "") for text in (url, alt))
    markup = img(url, 640, 480, alt=alt)
    assert isinstance(markup, Markup)
    assert parsed(markup) == [("img", {"src": url, "width": "640", "height": "480", "alt": alt})]


@pytest.mark.parametrize("name", ["", "_", "a b", "onload=alert(1) x", 'a"', "a>", "a/", "a\n", "a=b", "a\0"])
def test_name_that_is_none_is_refused(name: str) -> None:
    attributes: dict[str, Any] = {name: "x"}
    with pytest.raises(ValueError, match="expected the name of an HTML attribute"):
        img("/1.png", 640, 480, **attributes)
