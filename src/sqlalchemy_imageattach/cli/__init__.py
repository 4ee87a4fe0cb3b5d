"""The command ``sqlalchemy-imageattach``: operations without a program of one's own.  It needs the extra ``cli``.

::

    commands     the commands, and their options
    auditing     what an audit tells
    arguments    what the options name: models, a database, stores, a time
    report       what a command tells: lines and a progress bar for people, JSON for programs
    inspection   what the library sees in a file
    demo         a page with pictures, on this machine

It must always be true that

- a password or another secret of a URL is never printed;
- what is expected to go wrong, such as a database that goes away, is one line on the standard error, without a
  traceback, and an exit status of its own: see :class:`~.report.Status`;
- whenever it is interrupted, what was done is whole, and it says how to go on.
"""

from __future__ import annotations

import sys

__all__ = ("main",)


def main() -> None:
    """Run the command, with the arguments of the process; it ends the process."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        print(
            "sqlalchemy-imageattach needs the extra 'cli': pip install 'SQLAlchemy-ImageAttach[cli]'", file=sys.stderr
        )
        sys.exit(2)
    from .commands import run

    sys.exit(run())
