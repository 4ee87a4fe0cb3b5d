"""Memory, processes, and the library that may be missing."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from keys import get, put

from sqlalchemy_imageattach.exc import MissingDependencyError
from sqlalchemy_imageattach.stores.s3 import S3Store


def python(script: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_the_file(make_s3: Any) -> None:
    store = make_s3()
    arguments = [store.bucket, store.access_key, store.secret_key]
    peak, size = map(
        int,
        python(
            f"""
            import resource, tempfile
            from sqlalchemy_imageattach.store import FileKey
            from sqlalchemy_imageattach.stores.s3 import S3Store

            def peak():
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

            store = S3Store(*{arguments}, prefix={store.prefix!r}, endpoint_url={store.endpoint_url!r})
            key = FileKey("user-picture", 1, 2, 3, "image/png", "r")
            store.has_key(key)
            before, size = peak(), 0
            with tempfile.TemporaryFile() as file:
                for _ in range(200):
                    file.write(bytes(1 << 20))
                file.seek(0)
                store.put_key(file, key, False)
            with store.get_key(key) as file:
                while block := file.read(1 << 16):
                    size += len(block)
            store.delete_key(key)
            print(peak() - before, size)
            """
        ).split(),
    )
    assert size == 200 << 20
    assert peak < 100_000_000


def test_store_works_in_forked_processes(make_s3: Any) -> None:
    store = make_s3()
    arguments = [store.bucket, store.access_key, store.secret_key]
    output = python(
        f"""
        import io, os, warnings
        from concurrent.futures import ThreadPoolExecutor
        from sqlalchemy_imageattach.store import FileKey
        from sqlalchemy_imageattach.stores.s3 import S3Store

        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what this is about
        store = S3Store(*{arguments}, prefix={store.prefix!r}, endpoint_url={store.endpoint_url!r}, timeout=5)

        def use(number):
            key = FileKey("user-picture", number, 2, 3, "image/png", "r")
            store.put_key(io.BytesIO(b"bytes"), key, False)
            try:
                store.get_key(key._replace(revision="none"))
            except OSError as error:
                assert type(error).__name__ == "ImageNotFoundError", error
            return store.get_key(key).read()

        def fork(number, then=lambda: None):
            child = os.fork()
            if child == 0:
                try:
                    with ThreadPoolExecutor(8) as threads:
                        assert set(threads.map(use, range(number, number + 20))) == {{b"bytes"}}
                    then()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0

        fork(100)  # made, not used
        assert use(1) == b"bytes"
        fork(200)  # used
        fork(300, lambda: fork(400))
        assert use(2) == b"bytes"
        print("done")
        """
    )
    assert output == "done\n"


def test_store_may_be_copied_and_pickled(s3: S3Store) -> None:
    put(s3)
    for other in (copy.copy(s3), pickle.loads(pickle.dumps(s3))):
        assert get(other) == b"bytes"


def test_missing_library_is_named_when_a_store_is_made_and_not_before() -> None:
    output = python(
        """
        import sys
        sys.modules["obstore"] = None
        import sqlalchemy_imageattach
        from sqlalchemy_imageattach.stores import store_from_url
        from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore
        from sqlalchemy_imageattach.stores.s3 import S3RequestV4, S3SandboxStore, S3Store
        for make in (
            lambda: S3Store("yourapp"),
            lambda: S3SandboxStore("yourapp", "yourapp-dev"),
            lambda: S3RequestV4("https://yourapp.s3.amazonaws.com/a", "yourapp", "us-east-1", "a", "b"),
            lambda: AzureStore("images", "yourapp"),
            lambda: GCSStore("yourapp"),
            lambda: store_from_url("s3://yourapp"),
        ):
            try:
                make()
            except sqlalchemy_imageattach.MissingDependencyError as error:
                print(error)
        """
    )
    extras = [line.rpartition("[")[2] for line in output.splitlines()]
    assert extras == ["s3]'", "s3]'", "s3]'", "azure]'", "gcs]'", "s3]'"]
    assert issubclass(MissingDependencyError, ImportError)


def test_library_is_not_imported_before_it_is_used() -> None:
    script = """
        import sys
        from sqlalchemy_imageattach.stores.s3 import S3Store
        S3Store("yourapp").get_url("user-picture", 1, 2, 3, "image/png")
        print("obstore" in sys.modules)
    """
    assert python(script) == "False\n"
