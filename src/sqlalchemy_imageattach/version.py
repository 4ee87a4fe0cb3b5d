"""The version of this library; ``python -m sqlalchemy_imageattach.version`` prints it."""

from __future__ import annotations

__all__ = ("SQLA_COMPAT_VERSION", "SQLA_COMPAT_VERSION_INFO", "VERSION", "VERSION_INFO")

#: The version as text.
VERSION = "2.0.0"

#: Its three numbers.
VERSION_INFO = (2, 0, 0)

#: The least version of SQLAlchemy that it works with.
SQLA_COMPAT_VERSION = "2.0.40"

#: Its three numbers.
SQLA_COMPAT_VERSION_INFO = (2, 0, 40)

if __name__ == "__main__":
    print(VERSION)
