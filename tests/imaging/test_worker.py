from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pictures
import psutil
import pytest
import pyvips
from PIL import Image

from sqlalchemy_imageattach.exc import ImageAttachError, InvalidImageError
from sqlalchemy_imageattach.imaging import ImagePolicy, isolate, probe, resize
from sqlalchemy_imageattach.imaging.engines.isolation import pool as workers
from sqlalchemy_imageattach.imaging.formats import read_header
from sqlalchemy_imageattach.imaging.headers import isobmff

pytestmark = pytest.mark.skipif(not workers.AVAILABLE, reason="files cannot be passed between processes")

MASKS = "".join(
    f'<mask id="m{level}">' + f'<rect width="9" height="9" mask="url(#m{level - 1})"/>' * 3 + "</mask>"
    for level in range(1, 30)
)


@pytest.fixture
def isolated() -> Iterator[None]:
    isolate(seconds=1)
    yield
    isolate(False)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[workers._Pool]:
    """Workers of this test's own: how many others have been started depends on the tests that ran before."""
    monkeypatch.setattr(workers, "_pool", pool := workers._Pool())
    yield pool
    pool.stop()


def _made(file: io.BytesIO, **options: object) -> io.BytesIO:
    result = resize(file, probe(file), 40, 30, **options)  # type: ignore[arg-type]
    assert (result.width, result.height) == (40, 30)
    assert isinstance(result.file, io.BytesIO)
    return result.file


@pytest.mark.parametrize("mimetype", pictures.FORMATS)
def test_in_isolation_results_are_the_same(mimetype: str, isolated: None) -> None:
    file = pictures.picture(mimetype)
    there = _made(file).getvalue()
    isolate(False)
    assert there == _made(file).getvalue()


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/gif", "image/png"])
def test_in_isolation_callbacks_are_called_here(mimetype: str, isolated: None) -> None:
    processes = []

    def seen(image: pyvips.Image) -> pyvips.Image:
        processes.append(os.getpid())
        return image.copy_memory()

    file = pictures.animation(mimetype, 3) if mimetype == "image/gif" else pictures.picture(mimetype)
    assert probe(_made(file, preprocess=seen, postprocess=seen)).frames == (3 if mimetype == "image/gif" else 1)
    assert processes == [os.getpid()] * 2


def test_in_isolation_bad_images_are_the_same_error(isolated: None) -> None:
    png = bytearray(pictures.saved(pictures.noise(64, 48), "image/png").getvalue())
    png[100:200] = bytes(100)
    with pytest.raises(InvalidImageError) as error:
        _made(io.BytesIO(png))
    assert error.value.reason == "damaged"


def test_an_image_that_takes_too_long_costs_an_error_and_not_the_server(isolated: None) -> None:
    with pytest.raises(InvalidImageError, match="takes more than") as error:
        _made(pictures.svg('width="400" height="300"', MASKS + '<rect width="400" height="300" mask="url(#m29)"/>'))
    assert error.value.reason == "too_costly"
    _made(pictures.svg('width="400" height="300"'))


def test_memory_is_limited_by_the_policy(pool: workers._Pool) -> None:
    file = pictures.svg('width="4" height="3"', '<rect width="1" height="1"/>' * 20_000)
    policy = ImagePolicy(max_pixels=30_000_000)
    with pytest.raises(InvalidImageError, match="memory"):
        resize(file, probe(file), 40, 30, policy=policy)
    assert resize(file, probe(file), 40, 30).width == 40
    unlimited = ImagePolicy(max_pixels=2**63)
    assert resize(file, probe(file), 40, 30, policy=unlimited).width == 40


def test_a_decoder_that_crashes_costs_an_error_and_not_the_server(
    pool: workers._Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made(pictures.svg(""))
    (mine,) = pool._idle
    os.kill(mine.process.pid, signal.SIGSEGV)
    psutil.Process(mine.process.pid).wait(10)
    # As if it died only now.
    monkeypatch.setattr(mine, "is_alive", lambda: True)
    with pytest.raises(InvalidImageError, match="the decoder gave up"):
        _made(pictures.svg(""))
    _made(pictures.svg(""))


def test_a_worker_that_died_in_between_costs_no_image(pool: workers._Pool) -> None:
    _made(pictures.svg(""))
    (mine,) = pool._idle
    os.kill(mine.process.pid, signal.SIGSEGV)
    psutil.Process(mine.process.pid).wait(10)
    _made(pictures.svg(""))


def test_isolation_starts_workers_before_there_is_an_image(pool: workers._Pool, isolated: None) -> None:
    started = list(pool._idle)
    assert len(started) >= 2
    _made(pictures.svg(""))
    assert pool._idle == started


def test_when_all_places_are_taken_an_image_is_refused_as_busy(
    pool: workers._Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PATIENCE", 0.01)
    with contextlib.ExitStack() as stack:
        for _ in range(pool._size):
            stack.enter_context(pool.place())
        with pytest.raises(InvalidImageError) as error:
            _made(pictures.svg(""))
    assert error.value.reason == "busy"
    with pool.place():
        pass


def test_what_a_few_bytes_declare_is_decoded_in_another_process(pool: workers._Pool) -> None:
    flat = pictures.saved(Image.new("1", (5_000, 5_000)), "image/png")
    assert _made(flat)
    assert len(pool._idle) == 1
    _made(pictures.picture("image/png", 800, 600))
    assert pool._idle[0].jobs == 1


def test_a_worker_is_used_again(pool: workers._Pool) -> None:
    _made(pictures.svg(""))
    before = list(pool._idle)
    for _ in range(3):
        _made(pictures.svg(""))
        probe(pictures.pdf())
    assert pool._idle == before


def test_workers_end_with_the_process_that_started_them() -> None:
    code = (
        "import io, os, sys\n"
        "from sqlalchemy_imageattach.imaging import probe, resize\n"
        "file = io.BytesIO(b'<svg xmlns=\"http://www.w3.org/2000/svg\"/>')\n"
        "resize(file, probe(file), 40, 30)\n"
        "from sqlalchemy_imageattach.imaging.engines.isolation import pool\n"
        "print(pool._pool._idle[0].process.pid, flush=True)\n"
        "if 'kill' in sys.argv: os.kill(os.getpid(), 9)"
    )
    for how in ("end", "kill"):
        done = subprocess.run([sys.executable, "-W", "error", "-c", code, how], capture_output=True, check=False)
        assert done.stderr == b""
        pid = int(done.stdout)
        if psutil.pid_exists(pid):
            psutil.Process(pid).wait(10)


def test_a_python_that_cannot_start_is_named(pool: workers._Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ImageAttachError, match="expected '/bin/false' to be a Python"):
        _made(pictures.svg(""))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        isolate(seconds=0)


@pytest.mark.parametrize("mimetype", ["image/avif", "image/heic"])
def test_a_large_photograph_has_more_memory_in_a_process_of_its_own(
    mimetype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _heic() if mimetype == "image/heic" else pictures.picture(mimetype)
    small = read_header(memoryview(file.getvalue()), mimetype)
    monkeypatch.setattr(isobmff, "_LARGE", 1)
    monkeypatch.setattr(isobmff, "_LARGE_FILE", 1)
    header = read_header(memoryview(file.getvalue()), mimetype)
    assert (header.isolated, header.weight) == (True, small.weight / 4)
    asked = []
    monkeypatch.setattr(workers, "resize", lambda job, ask=workers.resize: asked.append(job.memory) or ask(job))
    assert probe(_made(file)).width == 40
    assert asked == [1_000_000_000]


def _heic() -> io.BytesIO:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pictures.corners()).save(file, quality=90)
    return file
