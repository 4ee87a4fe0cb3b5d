"""The parts that the other tests stand on do what those take for granted."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

import services

metadata = MetaData()
parent = Table("parent", metadata, Column("id", Integer, primary_key=True))
child = Table("child", metadata, Column("id", Integer, ForeignKey("parent.id"), primary_key=True))


def test_a_database_is_empty_and_takes_tables(engine):
    assert inspect(engine).get_table_names() == []
    metadata.create_all(engine)
    assert sorted(inspect(engine).get_table_names()) == ["child", "parent"]


def test_a_savepoint_ends_with_its_transaction_even_when_it_was_released(engine):
    metadata.create_all(engine)
    with engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(parent.insert(), {"id": 1})
        connection.rollback()
        assert connection.execute(select(parent.c.id)).all() == []


def test_foreign_keys_are_enforced(engine):
    metadata.create_all(engine)
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(child.insert(), {"id": 1})


def test_a_savepoint_ends_with_its_transaction_on_aiosqlite(sqlite_url):
    async def main():
        engine = services.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        async with engine.connect() as connection:
            async with connection.begin_nested():
                await connection.execute(parent.insert(), {"id": 1})
            await connection.rollback()
            assert (await connection.execute(select(parent.c.id))).all() == []
        await engine.dispose()

    asyncio.run(main())


def test_postgresql_prepares_transactions_and_a_forgotten_one_does_not_keep_its_database(have):
    with services.fresh_database(have(services.postgresql)) as url:
        engine = services.make_engine(url)
        metadata.create_all(engine)
        with engine.connect() as connection:
            connection.execute(text("BEGIN"))
            connection.execute(parent.insert(), {"id": 1})
            connection.execute(text("PREPARE TRANSACTION 'forgotten'"))
        engine.dispose()
    with pytest.raises(OperationalError), services.make_engine(url).connect():
        pass


@pytest.mark.parametrize("part", [services.postgresql, services.mariadb])
def test_a_database_is_dropped_under_a_connection_that_was_left_open(have, part):
    with services.fresh_database(have(part)) as url:
        left_open = services.make_engine(url).connect()
        left_open.execute(select(1))
    with pytest.raises(OperationalError), services.make_engine(url).connect():
        pass
    left_open.invalidate()


def test_s3_refuses_a_wrong_secret_and_keeps_what_is_put(s3_server):
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    def store(secret):
        return S3Store(
            s3_server.bucket,
            endpoint=s3_server.endpoint_url,
            region=s3_server.region,
            access_key_id=s3_server.access_key,
            secret_access_key=secret,
            client_options={"allow_http": True},
        )

    store(s3_server.secret_key).put("parts/a", b"bytes")
    assert store(s3_server.secret_key).get("parts/a").bytes() == b"bytes"
    with pytest.raises(BaseError):
        store("wrong").get("parts/a")


def test_azure_keeps_what_is_put(azure_server):
    from obstore.store import AzureStore

    store = AzureStore(
        azure_server.container,
        account_name=azure_server.account,
        account_key=azure_server.key,
        endpoint=azure_server.endpoint_url,
        client_options={"allow_http": True},
    )
    store.put("parts/a", b"bytes")
    assert store.get("parts/a").bytes() == b"bytes"


def test_redis_answers(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_rabbitmq_answers(rabbitmq_url):
    import kombu

    with kombu.Connection(rabbitmq_url) as connection:
        assert connection.connect()


def test_chromium_shows_a_page(page):
    page.set_content("<h1>shown</h1>")
    assert page.inner_text("h1") == "shown"
