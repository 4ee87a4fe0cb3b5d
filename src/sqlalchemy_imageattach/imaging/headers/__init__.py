"""Reading what an image is from its header, without an engine.

::

    header     what a header says, and what readers share
    jpeg, png, gif, webp, bmp, svg
    tiff       TIFF, and the orientation in EXIF
    isobmff    AVIF and HEIC, with av1
    colors     what the colours of a picture mean, as a profile; with hdr
"""
