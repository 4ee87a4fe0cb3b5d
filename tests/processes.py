"""Servers that tests start: each on a free port of loopback, awaited until it answers, and ended by its process id.

A server that ends while it starts is noticed at once, and what is raised says why, and what to install.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

#: Seconds that a server may take from its start to its first answer.
PATIENCE = 60

#: The shared libraries that the servers of the requirements take from the system, and their packages.
LIBRARIES = {"libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1", "libz.so.1": "zlib1g"}


class Unavailable(Exception):
    """A part cannot be had on this machine; the message says what to do about it."""


class Started(NamedTuple):
    """What a part is reached by, and how it is ended; no process where somebody else runs it."""

    address: str
    pid: int | None = None
    ended_by: int = signal.SIGKILL


def start(command: list[str], data: Path, *, user: str | None = None, env: dict[str, str] | None = None) -> int:
    """Start a server in its folder, where ``log`` takes what it says, and return its process id."""
    with (data / "log").open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=data,
            env=env,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[child.pid] = child
    return child.pid


def wait_for(package: str, data: Path, pid: int, answers: Callable[[], bool]) -> None:
    """Wait until a server that was started in a folder answers.

    :param package: what the server comes with, for what is raised
    :raises Unavailable: if it ends instead
    """
    wait_until(lambda: not is_alive(pid) or answers(), PATIENCE)
    if not is_alive(pid):
        raise Unavailable(ended(package, (data / "log").read_text(errors="replace")))
    if not answers():
        stop([(pid, signal.SIGKILL)])
        log = (data / "log").read_text(errors="replace")
        raise RuntimeError(f"the server of {package} did not answer within {PATIENCE} seconds:\n{log[-4000:]}")


def run(package: str, command: list[str], data: Path, *, user: str | None = None) -> None:
    """Run a program that prepares a server.

    :raises Unavailable: if it fails
    """
    done = subprocess.run(command, user=user, cwd=data, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Unavailable(ended(package, done.stdout + done.stderr))


def ended(package: str, log: str) -> str:
    """What to do about a program that ended, from what it said."""
    if library := re.search(r"loading shared libraries: ([^:]+)", log):
        package = LIBRARIES.get(library[1], f"{library[1]}, which {package} needs")
    elif module := re.search(r"No module named '?([\w.]+)", log):
        package = module[1].partition(".")[0]
    return f"it ended as it started: install {package}. Its last words:\n{log[-4000:]}"


def stop(servers: Iterable[tuple[int, int]]) -> None:
    """End servers, each by its process id and signal, with all that they have started."""
    servers = list(servers)
    for pid, ended_by in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, ended_by)
    wait_until(lambda: not any(is_alive(pid) for pid, _ in servers), PATIENCE)


def leave() -> None:
    """Let this process end before the servers that it has started."""
    for child in _children.values():
        child.returncode = 0  # else Python would warn that nobody waited for it


#: What was started from this process, so that none of it is taken for forgotten.
_children: dict[int, subprocess.Popen[bytes]] = {}


def is_alive(pid: int) -> bool:
    if pid in _children:
        return _children[pid].poll() is None
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until something is so, and return whether it came to that in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def free_ports(count: int, above: int) -> int:
    """The first of so many ports that are free with those that are so many numbers above them.

    All are below those that the kernel gives out by itself.
    """
    while True:
        first = random.SystemRandom().randrange(12_000, 32_000 - above, count)
        if not any(listens(port + more) for port in range(first, first + count) for more in (0, above)):
            return first


def program(name: str) -> str | None:
    """The path of a program: of this environment, or of the system."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders))
