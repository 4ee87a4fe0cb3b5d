"""Children that are forked after libvips has worked in their parent: there, it would wait for its threads for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# Each child has ten seconds; what it prints is what it made.
_PROGRAM = """
import io, os, signal, sys, warnings
sys.path.insert(0, {folder!r})
import pictures
from sqlalchemy_imageattach.imaging import probe, resize
warnings.simplefilter("ignore", DeprecationWarning)

def work():
    for mimetype in pictures.FORMATS:
        file = pictures.picture(mimetype, 160, 120)
        result = resize(file, probe(file), 80, 60, filter="undefined" if mimetype != "image/png" else "cubic")
        assert (probe(result.file).width, result.mimetype) == (80, mimetype)
        assert pictures.near(pictures.pixel(result.file, (0.2, 0.2)), pictures.RED)
    for file in (pictures.svg('width="80" height="60"'), pictures.pdf()):
        assert resize(file, probe(file), 40, 30).mimetype == "image/png"

def fork(what):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            what()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

{before}
sys.exit(fork({child}))
"""


def _status(before: str, child: str = "work") -> tuple[int, str]:
    code = _PROGRAM.format(folder=str(Path(__file__).parent), before=before, child=child)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def test_a_child_works_after_its_parent_has() -> None:
    assert _status("work()") == (0, "")


def test_a_child_works_after_its_parent_has_only_probed() -> None:
    assert _status("probe(pictures.picture('image/jpeg'))") == (0, "")


def test_a_grandchild_works_after_its_parent_has() -> None:
    assert _status("", "lambda: (work(), fork(work)) == (None, 0) or os._exit(2)") == (0, "")


def test_a_child_forked_while_another_thread_works_works() -> None:
    before = """
import threading
stop = threading.Event()
def again():
    while not stop.is_set():
        file = pictures.picture("image/jpeg", 800, 600)
        resize(file, probe(file), 400, 300)
threading.Thread(target=again, daemon=True).start()
work()
"""
    assert _status(before) == (0, "")


def test_multiprocessing_by_fork_works_after_its_parent_has() -> None:
    child = """lambda: None
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.apply_async(work).get(30)
(lambda: None)"""
    code, output = _status(
        "work()\n" + child.replace("lambda: None\n", "", 1).replace("(lambda: None)", "print('made')"), "lambda: None"
    )
    assert (code, output) == (0, "made\n")


def test_callbacks_say_why_they_cannot_be_called_in_such_a_child() -> None:
    child = """lambda: resize(pictures.picture("image/jpeg"), None, 40, 30, postprocess=lambda image: image)"""
    code, output = _status("work()", child)
    assert code == 1
    assert "forked" in output


def test_without_the_precaution_the_child_would_hang() -> None:
    """The rule is needed: if this fails, libvips has learned to be forked, and the precaution can go."""
    child = "lambda: signal.alarm(3) and None or (setattr(fork_guard, '_vips_process', os.getpid()), work())"
    code, _ = _status("work()\nfrom sqlalchemy_imageattach.imaging.engines import fork_guard", child)
    assert code == -signal.SIGALRM or code == 256 - signal.SIGALRM


def test_threads_work_at_once() -> None:
    import io

    import pictures

    from sqlalchemy_imageattach.imaging import probe, resize

    data = pictures.picture("image/jpeg", 800, 600).getvalue()
    markup = pictures.svg('width="80" height="60"').getvalue()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for original in (data, markup) * 5:
                file = io.BytesIO(original)
                assert resize(file, probe(file), 40, 30).width == 40
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
