"""Makes the original library importable, when it is imported before it.

It was written for Python 2.6 to 3.6 and SQLAlchemy 0.9, and three of its imports are of what has moved or gone since.
"""

import collections
import collections.abc
import html
import sys
import types

import sqlalchemy.ext.declarative

collections.Iterator = collections.abc.Iterator
sys.modules["sqlalchemy.ext.declarative.api"] = sqlalchemy.ext.declarative
sys.modules["cgi"] = types.SimpleNamespace(escape=html.escape, FieldStorage=type("FieldStorage", (), {}))
