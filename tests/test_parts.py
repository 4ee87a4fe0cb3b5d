"""The parts that the other tests stand on do what those take for granted."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

import databases
import processes
from parts import Parts

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
        engine = databases.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        async with engine.connect() as connection:
            async with connection.begin_nested():
                await connection.execute(parent.insert(), {"id": 1})
            await connection.rollback()
            assert (await connection.execute(select(parent.c.id))).all() == []
        await engine.dispose()

    asyncio.run(main())


@contextlib.contextmanager
def connected(url):
    engine = databases.make_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("part", [databases.postgresql, databases.mariadb])
def test_a_database_is_empty_again_whatever_a_test_left_in_it(have, part):
    with databases.fresh_database(have(part)) as url:
        left_open = databases.make_engine(url).connect()
        metadata.create_all(left_open)
        left_open.execute(parent.insert(), {"id": 1})
        if part is databases.postgresql:
            with connected(url) as connection:
                for statement in (
                    "CREATE SCHEMA other CREATE TABLE thing (id int)",
                    "PREPARE TRANSACTION 'forgotten'",
                ):
                    connection.execute(text(statement))
    with pytest.raises(OperationalError):
        left_open.execute(select(1))
    left_open.invalidate()
    with databases.fresh_database(have(part)) as url, connected(url) as connection:
        assert inspect(connection).get_table_names() == []
        if part is databases.postgresql:
            assert inspect(connection).get_schema_names() == ["information_schema", "public"]
            assert connection.scalar(text("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'forgotten'")) == 0


def test_databases_that_are_kept_for_the_next_test_are_dropped_in_the_end(have):
    with databases.fresh_database(have(databases.postgresql)) as url:
        pass
    databases.drop_idle_databases()
    with pytest.raises(OperationalError), connected(url):
        pass


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


# A server that cannot be had


@pytest.mark.parametrize(
    ("words", "install"),
    [
        ("server: error while loading shared libraries: libstdc++.so.6: cannot open shared object file", "libstdc++6"),
        ("server: error while loading shared libraries: libodd.so.1: cannot open", "libodd.so.1, which a-server needs"),
        ("/usr/bin/python3: No module named gunicorn", "gunicorn"),
        ("ModuleNotFoundError: No module named 'uvicorn.main'", "uvicorn"),
        ("fatal: no such setting", "a-server"),
    ],
)
def test_a_server_that_ends_as_it_starts_is_noticed_at_once_with_what_to_install(tmp_path, words, install):
    asked = []

    def answers():
        asked.append(processes.wait_until(lambda: not processes.is_alive(pid), 60))
        return False

    pid = processes.start(["sh", "-c", 'echo "$0" >&2; exit 1', words], tmp_path)
    with pytest.raises(processes.Unavailable) as caught:
        processes.wait_for("a-server", tmp_path, pid, answers)
    assert f"install {install}." in str(caught.value)
    assert words in str(caught.value)
    assert asked in ([], [True])


def test_what_prepares_a_server_says_what_to_install(tmp_path):
    with pytest.raises(processes.Unavailable, match=r"install a-server\. Its last words:\nfull"):
        processes.run("a-server", ["sh", "-c", "echo full; exit 1"], tmp_path)


def test_what_is_missing_is_looked_for_once_in_a_run(tmp_path):
    asked = []

    def absent(data):
        asked.append(data)
        raise processes.Unavailable("install it")

    for _ in range(2):
        with pytest.raises(processes.Unavailable, match="install it"):
            Parts(tmp_path).get(absent)
    assert len(asked) == 1
