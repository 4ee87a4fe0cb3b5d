"""What a program has not used is not loaded: the imports of its first lines are cheap, and stay so."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.dialects import mysql

import sqlalchemy_imageattach
from models import Base, UserPicture

#: How many modules may be loaded beyond those of SQLAlchemy's ORM, by the first lines of README.md.
MOST_MODULES = 60
FIRST_LINES = """
from sqlalchemy_imageattach import Image, ImageSet, image_attachment, store_context
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
"""
ALL_FOUR = """
import sqlalchemy_imageattach, sqlalchemy_imageattach.entity, sqlalchemy_imageattach.context
import sqlalchemy_imageattach.stores.fs
"""
A_PAGE = """
from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, selectinload
from sqlalchemy_imageattach import Image, ImageSet, image_attachment, store_context
from sqlalchemy_imageattach.stores.fs import FileSystemStore

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")

class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
with store_context(FileSystemStore("images", "https://images.example/")), Session(engine) as session:
    session.execute(insert(User).values(id=1))
    size = {"width": 64, "height": 48, "mimetype": "image/png", "original": True}
    session.execute(insert(UserPicture).values(user_id=1, **size))
    for user in session.scalars(select(User).options(selectinload(User.picture))):
        assert "/user-picture/1/0/1.64x48" in user.picture.locate()
"""
#: What the parts of the library need that many programs do not use.
NOT_LOADED = ["PIL", "pyvips", "obstore", "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "werkzeug"] + [
    f"sqlalchemy_imageattach.{room}" for room in ("imaging", "serving", "stores.s3", "stores.clouds", "variants.maker")
]


def loaded_by(program: str) -> set[str]:
    """The modules that a program loads in a process of its own, but for those of SQLAlchemy's ORM."""
    begin = "import sys, json, sqlalchemy.orm\nbefore = set(sys.modules)\n"
    end = "\nprint(json.dumps(list(sys.modules.keys() - before)))"
    return set(json.loads(answer_of(begin + program + end)))


def answer_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True).stdout


def under(names: list[str], modules: set[str]) -> list[str]:
    return sorted(module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in names))


@pytest.mark.parametrize("lines", [FIRST_LINES, ALL_FOUR], ids=["readme", "all four"])
def test_the_first_lines_of_a_program_load_few_modules(lines):
    modules = loaded_by(lines)
    assert len(modules) <= MOST_MODULES, sorted(modules)


@pytest.mark.parametrize("program", [FIRST_LINES, ALL_FOUR], ids=["readme", "all four"])
def test_no_decoder_no_server_and_no_dialect_is_loaded_before_it_is_used(program):
    assert under(NOT_LOADED, loaded_by(program)) == []


def test_a_page_of_urls_loads_no_decoder_and_no_server():
    assert under(NOT_LOADED, loaded_by(A_PAGE)) == []


@pytest.mark.parametrize("module", ["", ".entity", ".serving", ".stores", ".variants"])
def test_a_face_offers_all_its_names_and_refuses_others(module):
    answer = answer_of(
        textwrap.dedent(f"""
            import sqlalchemy_imageattach{module} as face
            assert set(face.__all__) <= set(dir(face))
            assert {{name for name in face.__all__ if getattr(face, name) is None}} == set()
            try:
                face.nothing
            except AttributeError as error:
                print(error)
        """)
    )
    assert answer == f"module 'sqlalchemy_imageattach{module}' has no attribute 'nothing'\n"


def test_a_migration_is_written_in_sqlalchemys_own_types():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        script = produce_migrations(MigrationContext.configure(connection), Base.metadata)
        text = render_python_code(script.upgrade_ops)
    engine.dispose()
    assert sqlalchemy_imageattach.__name__ not in text
    variant = "with_variant(mysql.DATETIME(fsp=6), {!r})"
    assert f"sa.DateTime(timezone=True).{variant.format('mariadb')}.{variant.format('mysql')}" in text


@pytest.mark.parametrize("passed_on", [copy.deepcopy, lambda kind: pickle.loads(pickle.dumps(kind))])
def test_mysql_keeps_microseconds_wherever_the_type_has_come_from(passed_on):
    kind = passed_on(UserPicture.__table__.c.created_at.type)
    assert kind.compile(dialect=mysql.dialect()) == "DATETIME(6)"
