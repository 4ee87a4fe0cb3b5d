"""Migrations of tables: what Alembic finds, and the way from the original library's tables and back."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
from pathlib import Path

import alembic
import pytest
import sqlalchemy
from _sides import ROOT, original_python
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.orm import Session

import databases
import models
from ext.application import Base, User, UserPicture
from models import picture
from parts import missing
from sqlalchemy_imageattach.audit import verify
from sqlalchemy_imageattach.ext.alembic import AddImageRevision
from sqlalchemy_imageattach.stores.fs import FileSystemStore

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine
import models

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=models.Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""


@contextlib.contextmanager
def operations(engine):
    """Alembic's ``op`` in a transaction of its own."""
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)) as op:
        yield op


def column_names(engine):
    return {column["name"] for column in sqlalchemy.inspect(engine).get_columns("user_picture")}


def test_what_alembic_writes_makes_the_tables_and_leaves_nothing_to_do(engine, tmp_path):
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENVIRONMENT)
    template = Path(alembic.__file__).parent / "templates/generic/script.py.mako"
    (scripts / "script.py.mako").write_text(template.read_text())
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", engine.url.render_as_string(hide_password=False).replace("%", "%%"))
    command.revision(config, "first", autogenerate=True)
    command.upgrade(config, "head")
    assert "revision" in column_names(engine)
    command.check(config)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, models.Base.metadata)
    assert [each for each in differences if each[1].name != "alembic_version"] == []


def make_old_tables(engine):
    """Tables as the original library had them."""
    old = sqlalchemy.MetaData()
    sqlalchemy.Table("user", old, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))
    sqlalchemy.Table(
        "user_picture",
        old,
        sqlalchemy.Column("user_id", sqlalchemy.Integer, sqlalchemy.ForeignKey("user.id"), primary_key=True),
        sqlalchemy.Column("width", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("height", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("mimetype", sqlalchemy.String(255), nullable=False),
        sqlalchemy.Column("original", sqlalchemy.Boolean, nullable=False),
        sqlalchemy.Column("created_at", sqlalchemy.DateTime(timezone=True), nullable=False),
    )
    old.create_all(engine)


def test_the_column_is_added_and_dropped_and_the_tables_are_those_of_the_models(engine):
    make_old_tables(engine)
    for _ in range(2):
        with operations(engine) as op:
            op.add_image_revision("user_picture")
        with engine.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), UserPicture.metadata)
        assert [each for each in found if "user_picture" in str(each)] == []
        if engine.dialect.name == "mysql":
            (created_at,) = (
                column
                for column in sqlalchemy.inspect(engine).get_columns("user_picture")
                if column["name"] == "created_at"
            )
            assert (created_at["type"].fsp, created_at["nullable"]) == (6, False)
        with operations(engine) as op:
            op.drop_image_revision("user_picture")
        assert "revision" not in column_names(engine)


def test_the_column_stays_as_long_as_a_file_is_named_by_it(engine, tmp_path):
    store = FileSystemStore(tmp_path / "images", "http://images.example/")
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        session.add(user := User())
        user.picture.from_blob(picture())
        session.commit()
        with (
            pytest.raises(RuntimeError, match="no row of user_picture with a revision, got 1"),
            operations(engine) as op,
        ):
            op.drop_image_revision("user_picture")
        session.delete(user)
        session.commit()
    with operations(engine) as op:
        op.drop_image_revision("user_picture")


def test_a_script_of_sql_is_written_without_a_database():
    output = io.StringIO()
    context = MigrationContext.configure(dialect_name="mysql", opts={"as_sql": True, "output_buffer": output})
    op = Operations(context)
    op.add_image_revision("user_picture", schema="shop")
    op.drop_image_revision("user_picture", schema="shop")
    assert output.getvalue().split(";\n\n") == [
        "ALTER TABLE shop.user_picture ADD COLUMN revision VARCHAR(16)",
        "ALTER TABLE shop.user_picture CHANGE created_at created_at DATETIME(6) NOT NULL",
        "ALTER TABLE shop.user_picture DROP COLUMN revision",
        "",
    ]


def test_each_operation_is_the_reverse_of_the_other():
    add = AddImageRevision("user_picture", "shop")
    there_and_back = add.reverse().reverse()
    assert (there_and_back.table_name, there_and_back.schema) == ("user_picture", "shop")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_what_the_original_library_wrote_is_read_after_the_upgrade_and_by_itself_after_the_way_back(
    sqlite_url, tmp_path
):
    try:
        python = original_python()
    except SystemExit as error:
        missing(str(error))
    program = [python, "-E", "-W", "ignore", str(Path(__file__).parent / "original_application.py")]

    def original(action):
        command = [*program, action, str(ROOT / "benchmarks"), str(sqlite_url), str(tmp_path / "images")]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return [json.loads(line) for line in answer.stdout.splitlines()]

    written = original("write")
    assert len(written) == 18
    engine = databases.make_engine(sqlite_url)
    with operations(engine) as op:
        op.add_column("user", sqlalchemy.Column("name", sqlalchemy.String(50), server_default="Ada"))
        op.add_image_revision("user_picture")
    Base.metadata.create_all(engine)
    store = FileSystemStore(tmp_path / "images", "http://images.example/")
    with Session(engine, info={"image_store": store}) as session:
        images = session.query(UserPicture).order_by(UserPicture.user_id, UserPicture.width)
        read = [
            [image.user_id, *image.size, image.locate(), hashlib.sha256(image.make_blob()).hexdigest()]
            for image in images
        ]
        # The original library gave no suffix to what the machine knew no type of.
        assert [each[:3] + each[4:] for each in read] == [each[:3] + each[4:] for each in written]
        urls = [(then[3], now[3]) for then, now in zip(written, read, strict=True)]
        assert [pair for pair in urls if pair[0] != pair[1] and ".bmp" not in pair[1] and ".webp" not in pair[1]] == []
        assert list(verify(session, UserPicture, store)) == []
        # What is replaced from now on has a revision, and goes before the way back.
        user = session.get_one(User, 1)
        user.picture.from_blob(picture())
        session.commit()
        for image in [*user.picture]:
            session.delete(image)
        session.commit()
    with operations(engine) as op:
        op.drop_image_revision("user_picture")
    engine.dispose()
    assert original("read") == [each for each in written if each[0] != 1]
