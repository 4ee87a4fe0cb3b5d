"""Decoding an image, and making another size of it.

::

    job           one image to make, and what engines share
    choice        which engine makes it
    fork_guard    where libvips may work
    libvips       the only module that imports pyvips
    vips          the engine that uses it
    pillow        the engine that uses Pillow
    composing     putting frames together
    encoding      writing what Pillow made
    bitmaps       what Pillow does not do of BMP
    pdfium        the only module that imports pypdfium2
    filters       the names of filters
    isolation/    decoding in a process of its own
"""

import logging

# libvips' binding tells at INFO of each thing that it loads and does, which is nothing for an application's log.
if logging.getLogger("pyvips").level == logging.NOTSET:
    logging.getLogger("pyvips").setLevel(logging.WARNING)
