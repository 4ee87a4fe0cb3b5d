"""Reading and rendering PDF, by pypdfium2; nothing else imports it.

Only the first page is looked at, and a point is a pixel.  Even to find its size takes an interpreter of PDF, so that
happens in a
:mod:`.worker` too.  PDFium is not safe in threads, so one lock is held around every use.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..exc import MissingDependencyError
from . import worker
from .header import Header, damaged, truncated
from .source import ViewReader

if TYPE_CHECKING:
    from PIL import Image

__all__ = ("read", "render")

_lock = threading.Lock()

# The end marker may be followed by some padding, as readers allow.
_END = re.compile(rb"%%EOF")
_END_WITHIN = 2048


@contextlib.contextmanager
def _first_page(data: memoryview) -> Iterator[Any]:
    import pypdfium2

    with _lock:
        try:
            # PDFium reads the parts that it needs.
            document = pypdfium2.PdfDocument(ViewReader(data))
            try:
                if len(document) == 0:
                    raise damaged("the PDF has no page")
                yield document[0]
            finally:
                document.close()
        except pypdfium2.PdfiumError as error:
            raise damaged(f"the PDF cannot be read: {error}") from None


@functools.cache
def _has_pypdfium2() -> bool:
    return importlib.util.find_spec("pypdfium2") is not None


def read(data: memoryview) -> Header:
    if not _has_pypdfium2():
        raise MissingDependencyError("PDF needs an extra: pip install 'SQLAlchemy-ImageAttach[pdf]'")
    if not _END.search(data, max(0, len(data) - _END_WITHIN)):
        raise truncated("the PDF has no end marker")
    width, height = worker.pdf_size(data) if worker.AVAILABLE else size(data)
    if not (width < 2**31 and height < 2**31):
        raise damaged(f"the size of its first page is {width:g}x{height:g} points")
    return Header("application/pdf", max(1, round(width)), max(1, round(height)))


def size(data: memoryview) -> tuple[float, float]:
    """Tells the size of the first page, in points."""
    with _first_page(data) as page:
        width, height = page.get_size()
    return float(width), float(height)


def render(data: memoryview, width: int, height: int) -> Image.Image:
    """Renders the first page at a size in pixels, on white."""
    with _first_page(data) as page:
        page_width, page_height = page.get_size()
        bitmap = page.render(scale=max(width / page_width, height / page_height), rev_byteorder=True)
        image: Image.Image = bitmap.to_pil().convert("RGB")
        return image if image.size == (width, height) else image.resize((width, height))
