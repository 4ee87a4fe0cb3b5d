"""Two sides of a comparison, each a child process that lives as long as the benchmark, asked in turn.

A figure says something only beside another that was measured in the same minutes on the same machine.  So a benchmark
takes the sides in rounds, one right after the other, the order reversed from round to round, and prints the median of
the rounds' ratios.  The original library runs in a virtual environment of its own, on SQLAlchemy 1.4: see
:func:`original_python`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent


def original_python() -> str:
    """The interpreter of an environment with the original library, which is made if it is not there."""
    home, locked = ROOT / ".venv-original", ROOT / "requirements/original.txt"
    python, mark = home / "bin/python", home / ".requirements"
    if not mark.exists() or mark.read_text() != locked.read_text():
        base = sys._base_executable  # type: ignore[attr-defined]
        subprocess.run([base, "-m", "venv", "--clear", home], check=True)
        pip = [
            python,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
            "--require-hashes",
            "--no-deps",
        ]
        subprocess.run([*pip, "-r", locked], check=True)
        mark.write_text(locked.read_text())
    answer = subprocess.run([python, "-c", "import wand.image"], check=False, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"the original library needs ImageMagick (Debian: libmagickwand-6.q16-6)\n{answer.stderr[-400:]}")
    return str(python)


class Side:
    """A child process that answers one request at a time; each is a line of JSON, and so is its answer."""

    def __init__(self, python: str, script: str, *arguments: object) -> None:
        command = [python, "-W", "ignore", str(Path(__file__).parent / script), *map(str, arguments)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()

    def ask(self, question: str) -> Any:
        assert self._child.stdin
        assert self._child.stdout
        print(question, file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            sys.exit(f"{self._child.args} ended when it was asked {question!r}")
        return json.loads(answer)


def in_turn(
    asks: Mapping[str, tuple[Side, str]], rounds: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[Any]]:
    """What each ask answered in each round, mostly in seconds; the first round warms up and is not counted.

    :param before: what has to happen ahead of each round
    """
    answers: dict[str, list[Any]] = {name: [] for name in asks}
    names = list(asks)
    for _ in range(rounds + 1):
        before()
        for name in names:
            side, question = asks[name]
            answers[name].append(side.ask(question))
        names.reverse()
    return {name: seconds[1:] for name, seconds in answers.items()}


def report(title: str, answers: Mapping[str, Sequence[float]], *, against: str, limit: str) -> None:
    """Prints medians in milliseconds, and of each the median of its ratios to one of them, round by round."""
    print(f"\n{title}   (median of {len(answers[against])} rounds; wanted: {limit})")
    for name, seconds in answers.items():
        median, quickest, slowest = (of(seconds) * 1000 for of in (statistics.median, min, max))
        ratio = statistics.median(mine / other for mine, other in zip(seconds, answers[against], strict=True))
        print(f"  {name:<28}{median:9.1f} ms  ({quickest:.1f} to {slowest:.1f})  x {ratio:.2f}", flush=True)
