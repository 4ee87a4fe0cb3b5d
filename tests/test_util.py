from __future__ import annotations

import pytest

from sqlalchemy_imageattach.util import append_docstring, append_docstring_attributes, get_minimum_indent


@pytest.mark.parametrize(
    ("docstring", "indent"),
    [
        ("Hello", ""),
        ("Hello\n    world::\n        yeah", "    "),
        ("Hello\n\n\tworld\n", "\t"),
        ("Hello\n  \n    world", "    "),
        ("", ""),
    ],
)
def test_indent_is_that_of_the_line_with_the_least(docstring: str, indent: str) -> None:
    assert get_minimum_indent(docstring) == indent


def test_first_lines_can_count() -> None:
    assert get_minimum_indent("  Hello\n    world", ignore_before=0) == "  "


def test_appended_lines_are_indented_like_the_rest_and_blank_lines_are_not() -> None:
    assert append_docstring("Hello\n    world", "", "bye") == "Hello\n    world\n\n    bye"


def test_attributes_without_a_docstring_are_left_out() -> None:
    documented = property(doc="Its name.\n\n        In full.")
    text = append_docstring_attributes("A user.", {"name": documented, "age": property()})
    assert text == "A user.\n\n.. attribute:: name\n\n   Its name.\n\n   In full."


def test_class_without_a_docstring_gets_one() -> None:
    assert (
        append_docstring_attributes(None, {"name": property(doc="Its name.")})
        == "\n\n.. attribute:: name\n\n   Its name."
    )
