"""What the library sees in a file, without a database and without a store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..exc import InvalidImageError
from ..imaging import ImagePolicy
from ..imaging.formats import read_header, sniff
from ..imaging.policy import ANYTHING
from ..imaging.source import opened

__all__ = ("inspect_file",)


@dataclass(slots=True)
class Inspection:
    """What is in a file, as far as it can be known; the rest is ``None``."""

    file: str
    #: How long it is, in bytes.
    length: int
    #: By its first bytes.
    mimetype: str | None = None
    #: Pixels, as a browser shows it.
    width: int | None = None
    height: int | None = None
    #: More than 1 for an animation.
    frames: int | None = None
    #: As EXIF counts, 1 to 8.
    orientation: int | None = None
    #: The name of the embedded colour profile.
    profile: str | None = None
    #: Whether the default policy accepts it.
    is_accepted: bool = False
    #: If not, why: one of ``InvalidImageError.REASONS``.
    reason: str | None = None
    #: The same as a sentence.
    error: str | None = None

    def fields(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people."""
        turned = f", turned by orientation {self.orientation}" if self.orientation not in (None, 1) else ""
        shown = {
            "type": self.mimetype,
            "size": None if self.width is None else f"{self.width}x{self.height} pixels as shown{turned}",
            "frames": self.frames,
            "profile": self.profile or (None if self.width is None else "none: sRGB"),
            "bytes": f"{self.length:,}",
            "accepted": "yes" if self.is_accepted else f"no, {self.reason}: {self.error}",
        }
        return [self.file, *(f"  {name:<9} {value}" for name, value in shown.items() if value is not None)]


def inspect_file(path: Path) -> Inspection:
    """Look into a file; no pixel is decoded.

    :param path: the file
    :returns: what is in it
    :raises OSError: when it cannot be read
    """
    with path.open("rb") as file:
        seen = Inspection(str(path), path.stat().st_size)
        try:
            with opened(file, ANYTHING.check_bytes) as data:
                seen.mimetype = sniff(data)
                header = read_header(data, seen.mimetype)
                seen.width, seen.height = header.info.width, header.info.height
                seen.frames, seen.orientation = header.frames, header.orientation
                policy = ImagePolicy()
                policy.check_bytes(len(data))
                policy.check(header.info, header.weight)
                # Only of what is accepted, since it takes a decoder.
                from ..imaging.engines import pillow

                seen.profile = pillow.profile_name(data, header.mimetype)
        except InvalidImageError as error:
            seen.reason, seen.error = error.reason, str(error)
        else:
            seen.is_accepted = True
    return seen
