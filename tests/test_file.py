from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from typing import IO, cast

import pytest

from sqlalchemy_imageattach.file import SPOOL_SIZE, FileProxy, ReusableFileProxy, SeekableFileProxy, send, spooled

LINES = b"one\ntwo\nthree"


class Bare:
    """What a store of somebody's may return: methods to read, and nothing else."""

    def __init__(self, content: bytes = LINES) -> None:
        file = io.BytesIO(content)
        self.read, self.readline, self.readlines = file.read, file.readline, file.readlines


def test_proxy_reads_as_the_file_does() -> None:
    proxy = FileProxy(Bare())
    assert proxy.read(2) == b"on"
    assert proxy.readline() == b"e\n"
    assert proxy.readline(2) == b"tw"
    assert proxy.readlines() == [b"o\n", b"three"]
    assert proxy.read() == b""
    assert FileProxy(Bare()).readlines(1) == [b"one\n"]


def test_arguments_have_the_documented_names() -> None:
    file = SeekableFileProxy(io.BytesIO(LINES))
    assert file.read(size=2) == b"on"
    assert file.readline(size=1) == b"e"
    assert file.readlines(sizehint=1) == [b"\n"]
    assert file.seek(offset=-3, whence=io.SEEK_END) == len(LINES) - 3


def test_proxy_is_an_iterator_over_lines() -> None:
    proxy = FileProxy(Bare())
    assert isinstance(proxy, Iterator)
    assert next(proxy) == b"one\n"
    assert proxy.next() == b"two\n"
    assert list(proxy.xreadlines()) == [b"three"]
    with pytest.raises(StopIteration):
        next(proxy)


def test_with_block_closes_the_file() -> None:
    file = io.BytesIO(LINES)
    with FileProxy(file) as proxy:
        assert proxy.read() == LINES
    assert file.closed


def test_with_block_takes_a_file_that_cannot_be_closed() -> None:
    with FileProxy(Bare()) as proxy:
        assert proxy.read() == LINES


def test_seekable_proxy_is_positioned_as_the_file_is() -> None:
    proxy = SeekableFileProxy(io.BytesIO(LINES))
    assert proxy.seekable()
    assert proxy.seek(4) == 4
    assert proxy.tell() == 4
    assert proxy.seek(-5, io.SEEK_END) == 8
    assert proxy.read() == b"three"


def test_seek_tells_the_position_even_if_the_file_does_not() -> None:
    class Silent(io.BytesIO):
        def seek(self, *args: int) -> None:  # type: ignore[override]
            super().seek(*args)

    assert SeekableFileProxy(Silent(LINES)).seek(3) == 3


def test_reusable_proxy_begins_at_the_beginning_and_leaves_the_file_open_where_it_was() -> None:
    file = io.BytesIO(LINES)
    file.seek(4)
    for _ in range(2):
        with ReusableFileProxy(file) as proxy:
            assert proxy.initial_offset == 4
            assert proxy.read() == LINES
    assert not file.closed
    assert file.tell() == 4


def test_reusable_proxy_goes_back_after_an_exception() -> None:
    file = io.BytesIO(LINES)
    with pytest.raises(KeyError), ReusableFileProxy(file) as proxy:  # noqa: PT012
        proxy.read()
        raise KeyError
    assert file.tell() == 0


def test_spooled_copy_is_seekable_and_begins_where_the_file_was() -> None:
    file = io.BytesIO(LINES)
    file.read(4)
    with spooled(file) as copy:
        assert copy.read() == b"two\nthree"
        copy.seek(0)
        assert copy.read(3) == b"two"
    assert not file.closed


@pytest.mark.parametrize(("size", "on_disk"), [(SPOOL_SIZE, False), (SPOOL_SIZE + 1, True)])
def test_spooled_copy_is_on_disk_past_its_size(size: int, on_disk: bool) -> None:
    with spooled(io.BytesIO(bytes(size))) as copy:
        assert copy._rolled is on_disk  # type: ignore[attr-defined]


def test_spooled_copy_is_closed_when_reading_fails() -> None:
    class Failing:
        def read(self, size: int = -1) -> bytes:
            raise OSError("cut off")

    # An unclosed temporary file would be a ResourceWarning, and so an error here.
    with pytest.raises(OSError, match="cut off"):
        spooled(cast("IO[bytes]", Failing()))


def test_what_is_sent_is_the_rest_of_a_file_on_disk(tmp_path):
    (tmp_path / "source").write_bytes(b"0123456789")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        source.read(3)
        assert send(source, target.fileno()) == 7
        assert source.tell() == 10
    assert (tmp_path / "target").read_bytes() == b"3456789"


def test_what_is_sent_of_a_compressed_file_is_its_content(tmp_path):
    with gzip.open(tmp_path / "source", "wb") as compressed:
        compressed.write(b"0123456789")
    with gzip.open(tmp_path / "source") as source, (tmp_path / "target").open("wb") as target:
        send(source, target.fileno())
    assert (tmp_path / "target").read_bytes() == b"0123456789"


def test_what_is_sent_of_a_pipe_is_all_that_comes(tmp_path):
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as end:
        end.write(b"0123456789")
    with os.fdopen(reader, "rb") as source, (tmp_path / "target").open("wb") as target:
        assert send(source, target.fileno()) == 10
    assert (tmp_path / "target").read_bytes() == b"0123456789"
