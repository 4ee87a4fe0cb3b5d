"""What servers spend: the CPU of a process and all its children, by request."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from serving import listening_process, nginx, running, store

SIZES = {"5 KB": 5_000, "570 KB": 570_000}
SIDES = ("ours, WSGI", "whitenoise", "ours, ASGI", "Starlette", "nginx")
#: At most how many times the CPU of ours by WSGI.
MOST = {"ours, ASGI": {"570 KB": 1.3}}


def _threads(process: int) -> Iterator[Path]:
    for thread in Path(f"/proc/{process}/task").iterdir():
        yield thread
        for child in (thread / "children").read_text().split():
            yield from _threads(int(child))


def cpu_of(process: int) -> float:
    """The seconds of CPU that a process, its threads and its children have spent."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in _threads(process)) / 1e9


def spent(url: str, process: int) -> float:
    """Seconds of CPU for each request."""
    before = cpu_of(process)
    output = subprocess.run(["wrk", "-t1", "-c4", "-d1s", url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output:
        raise SystemExit(f"{url}: {output}")
    found = re.search(r"(\d+) requests in", output)
    assert found, output
    return (cpu_of(process) - before) / int(found[1])


def measure(rounds: int, pythons: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each side and size.

    :param rounds: how often each side is asked, a second each time
    :param pythons: the interpreter of each side that is another's
    """
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        run.chmod(0o755)  # nginx' workers run as another user when this runs as root
        for label, size in SIZES.items():
            folder = run / str(size)
            store(folder, size)
            with ExitStack() as stack:
                servers = {}
                for side in SIDES:
                    server = nginx(folder, run) if side == "nginx" else running(side, folder, run, pythons.get(side))
                    servers[side] = stack.enter_context(server), listening_process()
                found: dict[str, list[float]] = {side: [] for side in SIDES}
                for turn in range(-1, rounds):
                    for side in SIDES if turn % 2 else reversed(SIDES):
                        one = spent(*servers[side])
                        if turn >= 0:
                            found[side].append(one)
            for side, each in found.items():
                ratios = [one / two for one, two in zip(each, found["ours, WSGI"], strict=True)]
                most = MOST.get(side, {}).get(label)
                rows.append(
                    {
                        "work": f"a request of {label}",
                        "side": side,
                        "seconds": statistics.median(each),
                        "ratio": statistics.median(ratios),
                        "most": most,
                    }
                )
    return rows
