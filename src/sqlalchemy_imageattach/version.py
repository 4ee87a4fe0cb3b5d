"""The version of this library; ``python -m sqlalchemy_imageattach.version`` prints it."""

from __future__ import annotations

__all__ = ("VERSION", "VERSION_INFO")

#: The version as text.
VERSION = "2.0.0"

#: Its three numbers.
VERSION_INFO = (2, 0, 0)

if __name__ == "__main__":
    print(VERSION)
