"""Reading the size of a PDF's first page.

Even that takes an interpreter of PDF, so it happens in a process of its own, where there can be one.
"""

from __future__ import annotations

import re

from .engines import pdfium
from .engines.isolation import pool
from .headers.header import Header, damaged, truncated

__all__ = ("read",)

# The end marker may be followed by some padding, as readers allow.
_END = re.compile(rb"%%EOF")
_END_WITHIN = 2048


def read(data: memoryview) -> Header:
    if not _END.search(data, max(0, len(data) - _END_WITHIN)):
        raise truncated("the PDF has no end marker")
    width, height = pool.pdf_size(data) if pool.AVAILABLE else pdfium.size(data)
    if not (width < 2**31 and height < 2**31):
        raise damaged(f"the size of its first page is {width:g}x{height:g} points")
    return Header("application/pdf", max(1, round(width)), max(1, round(height)))
