"""Scaling out on Celery: thumbnails by one worker and by three, and how long it takes to split a table."""

from __future__ import annotations

import argparse
import io
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image
import psutil
from _sides import ROOT, report

sys.path.insert(0, str(ROOT / "tests"))
from sqlalchemy import insert

import databases
import parts

#: The queue that only the first worker takes from, and the one that all three take from.
QUEUES = {"1 worker": "one", "3 workers": "three"}
#: What is made of each picture, a size per task.
WIDTHS = (1280, 640, 160)


def photograph() -> bytes:
    """A JPEG of 6 megapixels, as hard to encode as a photograph is."""
    noise = PIL.Image.frombytes("RGB", (300, 200), secrets.token_bytes(300 * 200 * 3))
    file = io.BytesIO()
    noise.resize((3000, 2000), PIL.Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


@contextmanager
def workers() -> Iterator[list[psutil.Process]]:
    """Three workers, each of one process beside the one that it is forked from."""
    environment = os.environ | {"VIPS_CONCURRENCY": "1", "PYTHONPATH": str(Path(__file__).parent)}
    processes = []
    for queues in ("one,three", "three", "three"):
        options = ["--concurrency=1", "--without-gossip", "--without-mingle", "-Q", queues, "-n", secrets.token_hex(4)]
        command = [sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "_workers_app", "worker", *options]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True))
    try:
        yield [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def thumbnails(application: Any, rounds: int, count: int) -> None:
    blob = photograph()
    with application.make_session() as session:
        users = [application.User(id=number) for number in range(1, count + 1)]
        session.add_all(users)
        for user in users:
            user.picture.from_blob(blob)
        session.commit()
        with workers() as processes:
            seconds: dict[str, list[float]] = {name: [] for name in QUEUES}
            cpu: dict[str, list[float]] = {name: [] for name in QUEUES}
            names = list(QUEUES)
            for turn in range(rounds + 1):
                for name in names:
                    # Other sizes each time, since what was made once is found.
                    widths = [width + 2 * turn + (name == names[0]) for width in WIDTHS]
                    tasks = [application.images.thumbnails(user.picture, widths=widths) for user in users]
                    session.rollback()
                    used, start = cpu_seconds(processes), time.perf_counter()
                    results = [task.apply_async(queue=QUEUES[name]) for task in tasks]
                    made = sum(len(result.get(timeout=600)) for result in results)
                    seconds[name].append(time.perf_counter() - start)
                    cpu[name].append(cpu_seconds(processes) - used)
                    assert made == count * len(WIDTHS)
                names.reverse()
    seconds = {name: each[1:] for name, each in seconds.items()}  # the first round warms up
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    title = f"{count} tasks, each {len(WIDTHS)} sizes of a JPEG of 6 megapixels; {os.cpu_count()} cores, load {load}"
    report(title, seconds, against="3 workers", limit="1 worker at least x 1.7")
    for name, each in cpu.items():
        print(f"  {name:<28}{sum(each[1:]) / rounds / count * 1000:9.1f} ms of CPU for a task, in the workers")


def cpu_seconds(processes: list[psutil.Process]) -> float:
    everything = [process for parent in processes for process in (parent, *parent.children(recursive=True))]
    return sum(sum(process.cpu_times()[:2]) for process in everything)


def splitting(application: Any, rows: int) -> None:
    from sqlalchemy_imageattach.bulk import key_ranges

    with application.engine.begin() as connection:
        for start in range(10**6, 10**6 + rows // 5, 10_000):
            numbers = range(start, min(start + 10_000, 10**6 + rows // 5))
            connection.execute(insert(application.User), [{"id": number} for number in numbers])
            values = [
                {"user_id": number, "width": width, "height": width, "mimetype": "image/jpeg", "original": width == 500}
                for number in numbers
                for width in (100, 200, 300, 400, 500)
            ]
            connection.execute(insert(application.UserPicture), values)
    with application.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE user_picture")
    with application.make_session() as session:
        start = time.perf_counter()
        ranges = sum(1 for _ in key_ranges(session, application.UserPicture, 10_000))
        seconds = time.perf_counter() - start
        print(
            f"\n{rows:,} rows on PostgreSQL into {ranges} ranges: {seconds:.2f} s, {seconds / rows * 1e6:.2f} µs a row"
        )
        tasks = list(application.images.migration("one", "other", application.UserPicture, size=1000))
        start = time.perf_counter()
        for task in tasks:
            task.apply_async(queue="nobody")
        seconds = time.perf_counter() - start
        print(f"{len(tasks)} tasks sent: {seconds / len(tasks) * 1000:.2f} ms each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, tempfile.TemporaryDirectory() as data:
        Path(data).chmod(0o755)  # PostgreSQL runs as another user when this runs as root
        running = parts.Parts(Path(data))
        try:
            broker = f"{running.get(parts.redis)}/0"
            with databases.fresh_database(running.get(databases.postgresql)) as url:
                database = url.render_as_string(hide_password=False)
                os.environ["IMAGEATTACH_BENCHMARK"] = json.dumps([broker, database, folder])
                import _workers_app as application

                application.Base.metadata.create_all(application.engine)
                thumbnails(application, arguments.rounds, arguments.tasks)
                splitting(application, arguments.rows)
                application.engine.dispose()
        finally:
            running.stop()


if __name__ == "__main__":
    main()
