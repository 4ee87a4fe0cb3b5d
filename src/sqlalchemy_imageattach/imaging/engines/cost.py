"""Which images may cost more memory or time than others of their size.

A decoder's memory grows with the length of a row, with whole canvases of animations and with what the file is in; its
time with every pixel that a few bytes declare.  What must always be true:

- What may take more than :data:`_HERE` is decoded in a process of its own, whose limits the kernel keeps.  So is what
  has more pixels than its bytes bear out, whatever is thought of its memory: nothing is known of it but its header, and
  the header is a stranger's.
- A photograph as cameras make it is decoded where it is, at full speed.

The figures were measured with both engines, and are rounded up.
"""

from __future__ import annotations

from ..headers.header import HELD_BYTES
from .fork_guard import vips_would_work
from .job import Job

__all__ = ("LARGE_FILE", "is_doubtful")

#: Bytes of a file from which on it may take more memory and time than a small one.
LARGE_FILE = 1_000_000

# Bytes.
_HERE = 180_000_000

# Pixels in all frames, of what costs little whatever it is.
_FEW = 4_000_000
# How many pixels a byte of an honest picture stands for.
_BORNE_OUT = {"image/avif": 64, "image/jpeg": 32, "image/webp": 64}
_BORNE_OUT_ELSE = 16
# A row or column costs something, however short it is.
_LEAST_SIDE = 64

# libvips holds some hundreds of rows in each of its steps; bytes of each pixel there.
_ROWS, _ROWS_OF_FEW = 1_600, 3
_BYTES_OF_ROWS = {"image/jpeg": 4}
_BYTES_OF_ROWS_ELSE = 8
# Bytes that Pillow holds of each pixel, of a still image and of a frame; a decoder of WebP has whole canvases.
_WHOLE = {"image/webp": 16}
_WHOLE_ELSE = 8
_FRAMES = {"image/avif": 36, "image/gif": 13, "image/png": 12, "image/webp": 16}
# Of each pixel of the result: the decoded one, and what an encoder needs.
_RESULT = 8


def is_doubtful(job: Job) -> bool:
    """Tell whether a job is better done in a process that does not matter."""
    header = job.header
    pixels = max(header.width, _LEAST_SIDE) * max(header.height, _LEAST_SIDE) * job.frames
    borne_out = _BORNE_OUT.get(header.mimetype, _BORNE_OUT_ELSE) * len(job.data)
    return pixels > max(_FEW, borne_out) or _memory(job) > _HERE


def _memory(job: Job) -> float:
    """Estimate how many bytes a job takes at most."""
    header = job.header
    pixels = header.width * header.height
    held = header.weight * HELD_BYTES if header.weight > 1 else 0.0
    rows = min(_ROWS, _ROWS_OF_FEW * header.height)
    row = header.width * _BYTES_OF_ROWS.get(header.mimetype, _BYTES_OF_ROWS_ELSE)
    if job.frames > 1:
        held = max(held, _FRAMES.get(header.mimetype, _WHOLE_ELSE))
    elif header.mimetype != "image/jpeg" and (header.unusual or header.composed or not vips_would_work()):
        held = max(held, _WHOLE.get(header.mimetype, _WHOLE_ELSE))
    return header.tables + pixels * held + row * rows + job.width * job.height * job.frames * _RESULT
