"""Reading what an image is from its header, without an engine.

::

    header     what a header says, and what readers share
    raster     JPEG, PNG, GIF, WebP and BMP
    tiff       TIFF, and the orientation in EXIF
    isobmff    AVIF and HEIC, with av1
    svg        SVG
"""
