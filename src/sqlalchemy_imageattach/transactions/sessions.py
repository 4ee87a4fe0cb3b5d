"""Which session is meant, where an application has a registry of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session, scoped_session

__all__ = ("session_behind",)


def session_behind(session: Session | scoped_session[Any]) -> Session:
    """Find the session of now.

    :param session: a session, or a registry such as Flask-SQLAlchemy's ``db.session``
    :returns: the session
    """
    found: Session = session() if isinstance(session, scoped_session) else session
    return found
