"""Docstrings put together at run time, and names that are imported when they are first asked for.

The three functions about docstrings are public since the original library documented them.  They take a docstring as it
stands in the source, with its indentation, and give back one whose added lines are indented like the rest.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ("append_docstring", "append_docstring_attributes", "get_minimum_indent", "import_late")


def get_minimum_indent(docstring: str, ignore_before: int = 1) -> str:
    r"""Find the indentation of a docstring: the shortest of its lines that are not blank.

    :param docstring: the docstring
    :param ignore_before: lines before this one do not count; by default the first, which :pep:`8` has unindented
    :returns: spaces and tabs, or nothing

    >>> get_minimum_indent('Hello')
    ''
    >>> get_minimum_indent('Hello\n    world::\n        yeah')
    '    '
    """
    lines = [line for line in docstring.splitlines()[ignore_before:] if line.strip()]
    return min((line[: len(line) - len(line.lstrip())] for line in lines), key=len, default="")


def append_docstring(docstring: str, *lines: str) -> str:
    r"""Append lines to a docstring, indented like it.

    :param docstring: the docstring
    :param lines: the lines, without indentation and newline characters
    :returns: the longer docstring

    >>> append_docstring('Hello\n    world', '', '.. note:: Bye')
    'Hello\n    world\n\n    .. note:: Bye'
    """
    indent = get_minimum_indent(docstring)
    return docstring + "".join(f"\n{indent}{line}" if line.strip() else "\n" for line in lines)


def append_docstring_attributes(docstring: str | None, locals: Mapping[str, object]) -> str:
    r"""Append the docstrings of attributes to their class's docstring.

    :param docstring: the docstring of the class, if it has one
    :param locals: the attributes by their names; those without a docstring are left out
    :returns: the longer docstring

    >>> print(append_docstring_attributes('A user.', {'name': property(doc='Its name.')}))
    A user.
    <BLANKLINE>
    .. attribute:: name
    <BLANKLINE>
       Its name.
    """
    result = docstring or ""
    for name, value in locals.items():
        if value.__doc__:
            # The first line has no indentation to take away: that of the others is given to it.
            text = textwrap.dedent(get_minimum_indent(value.__doc__) + value.__doc__)
            result = append_docstring(
                result, "", f".. attribute:: {name}", "", *(f"   {line}" for line in text.splitlines())
            )
    return result


def import_late(module: str, origins: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Have a module offer names of others, and import those when they are first asked for (:pep:`562`).

    :param module: the module's own name
    :param origins: by each name the module that it comes from, and after a colon what it is called there, if otherwise
    :returns: the ``__getattr__`` and the ``__dir__`` of the module

    >>> get, names = import_late(__name__, {"sqrt": "math", "root": "math:sqrt"})
    >>> get("sqrt") is get("root")
    True
    """

    def __getattr__(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        origin, _, there = origins[name].partition(":")
        value = getattr(importlib.import_module(origin, module), there or name)
        # From now on it is found at once.
        setattr(sys.modules[module], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[module]), *origins})

    return __getattr__, __dir__
