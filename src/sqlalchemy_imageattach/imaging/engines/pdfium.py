"""Rendering PDF by pypdfium2; no other module imports it.

Only the first page is looked at, and a point is a pixel.  PDFium is not safe in threads, so one lock is held around
every use.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..headers.header import damaged
from ..source import ViewReader

if TYPE_CHECKING:
    from PIL import Image

__all__ = ("render", "size")

_lock = threading.Lock()


def size(data: memoryview) -> tuple[float, float]:
    """Tell the size of the first page, in points."""
    with _first_page(data) as page:
        width, height = page.get_size()
    return float(width), float(height)


def render(data: memoryview, width: int, height: int) -> Image.Image:
    """Render the first page at a size in pixels, on white."""
    with _first_page(data) as page:
        page_width, page_height = page.get_size()
        bitmap = page.render(scale=max(width / page_width, height / page_height), rev_byteorder=True)
        image: Image.Image = bitmap.to_pil().convert("RGB")
        return image if image.size == (width, height) else image.resize((width, height))


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
