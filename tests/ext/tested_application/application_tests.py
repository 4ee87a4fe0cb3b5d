"""Tests of an application: those named passes_… have to pass, and those named fails_… to fail."""

import asyncio

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from conftest import User, UserPicture
from sqlalchemy_imageattach.imaging import probe
from sqlalchemy_imageattach.imaging.types import ALL_TYPES
from sqlalchemy_imageattach.stores.memory import MemoryStore


def upload(session, image_file, **options):
    session.add(user := User())
    user.picture.from_file(image_file("image/png", width=640, height=480), **options)
    session.commit()
    return user


def passes_what_agrees(session, imageattach_store, image_file):
    user = upload(session, image_file)
    assert user.picture.original.size == (640, 480)
    assert user.picture.locate().startswith("/__images__/")
    session.delete(user)
    session.commit()


def fails_a_file_that_sql_left_without_a_row(session, imageattach_store, image_file):
    upload(session, image_file)
    session.execute(delete(UserPicture))
    session.commit()


def fails_a_row_whose_file_is_gone(session, imageattach_store, image_file):
    imageattach_store.delete(upload(session, image_file).picture.original)


def passes_without_the_store(session, image_file):
    upload(session, image_file, store=MemoryStore())
    session.execute(delete(UserPicture))
    session.commit()


def passes_where_the_rows_are_in_another_store(session, imageattach_store, image_file):
    upload(session, image_file, store=MemoryStore())
    upload(session, image_file)


@pytest.fixture
def unfinished(session):
    yield session
    # Looking at it has ended nothing.
    assert session.query(UserPicture).count() == 1


def passes_a_transaction_that_goes_on(unfinished, imageattach_store, image_file):
    unfinished.add(user := User())
    user.picture.from_file(image_file())
    unfinished.flush()


@pytest.fixture
def joined(engine):
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
            assert session.query(UserPicture).count() <= 1
        transaction.rollback()


def passes_an_outer_transaction_that_a_fixture_rolls_back(joined, imageattach_store, image_file):
    upload(joined, image_file)


# In a file, the driver has committed the savepoint with the upload.
@pytest.mark.parametrize("engine", ["sqlite://"], indirect=True)
def fails_sql_in_an_outer_transaction(joined, imageattach_store, image_file):
    fails_a_file_that_sql_left_without_a_row(joined, imageattach_store, image_file)


def passes_another_session_beside_one_that_has_read(session, imageattach_store, image_file):
    with Session(session.bind) as other:
        upload(other, image_file)
    assert session.query(UserPicture).count() == 1


async def upload_async(engine, image_file, delete_by_sql):
    async_engine = create_async_engine(engine.url.set(drivername="sqlite+aiosqlite", database="database"))
    async with AsyncSession(async_engine) as session:
        session.add(user := User(picture=[]))
        await user.picture.afrom_file(image_file())
        await session.commit()
        if delete_by_sql:
            await session.execute(delete(UserPicture))
            await session.commit()
    await async_engine.dispose()


@pytest.mark.parametrize("engine", ["sqlite:///database"], indirect=True)
def passes_asyncio(engine, imageattach_store, image_file):
    asyncio.run(upload_async(engine, image_file, False))


@pytest.mark.parametrize("engine", ["sqlite:///database"], indirect=True)
def fails_asyncio(engine, imageattach_store, image_file):
    asyncio.run(upload_async(engine, image_file, True))


@pytest.mark.parametrize("mimetype", sorted(ALL_TYPES))
def passes_a_file_of_each_type(image_file, mimetype):
    info = probe(image_file(mimetype, width=300, height=200))
    assert (info.mimetype, info.width, info.height) == (mimetype, 300, 200)
    assert image_file(mimetype).read() != image_file(mimetype).read()


def passes_a_type_that_is_not_read_is_refused(image_file):
    with pytest.raises(ValueError, match=r"one of application/pdf, .*, got 'text/html'"):
        image_file("text/html")
