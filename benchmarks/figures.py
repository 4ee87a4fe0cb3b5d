"""All figures of the documentation in one run: ``make bench`` writes them into docs/figures, for the page on speed.

Sides are asked in turn and compared within each round, in CPU, by the median of the ratios.  On a machine that has
something else to do nothing is concluded: this ends before it begins, and where it was told to go on (``--anyway``), or
the machine became busy meanwhile, the page says so.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import _cpu
import growth
import reading
import writing
from _charts import bars
from _rivals import RIVALS, ROOT, Rival, python_of, version_of
from _sides import Side, in_turn
from attach import make_photograph

FOLDER = ROOT / "docs/figures"
OURS = "this library"
#: How much of the machine others may use.
MOST_BUSY = 0.1
IMPORTS = {
    OURS: "import sqlalchemy_imageattach, sqlalchemy_imageattach.stores.fs",
    "filedepot": "import depot.manager, depot.fields.sqlalchemy",
    "sqlalchemy-file": "import sqlalchemy_file, sqlalchemy_file.storage",
    "advanced-alchemy": "import advanced_alchemy.types",
}

Row = Mapping[str, Any]


def busy(seconds: float = 2) -> float:
    """How much of the machine is used by others, from 0 to 1, while this sleeps."""

    def ticks() -> tuple[int, int]:
        fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    if not Path("/proc/stat").exists():
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    whole, idle = ticks()
    time.sleep(seconds)
    whole, idle = ticks()[0] - whole, ticks()[1] - idle
    return 1 - idle / max(whole, 1)


def machine() -> str:
    """What this is measured on."""
    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}; Python"
        f" {platform.python_version()}, SQLAlchemy {version('sqlalchemy')}, libvips by pyvips {version('pyvips')}"
    )


def attach_and_make(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Attaching three files, and two sizes of pictures, by each library."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        sizes = {
            "5 KB": (160, 120),
            "570 KB": (1725, 1294),
            "2 megapixels": (1633, 1225),
            "12 megapixels": (4000, 3000),
        }
        for label, size in sizes.items():
            make_photograph(folder / f"{label}.jpg", *size)
        sides = {
            rival: stack.enter_context(
                Side(python_of(rival.environment), "_rival_side.py", rival.name, folder / "of" / rival.name)
            )
            for rival in RIVALS
        }
        found: dict[str, list[dict[str, Any]]] = {}
        for label in ("5 KB", "570 KB", "12 megapixels"):
            asks = {
                rival.name: (side, f"attach {folder / label}.jpg") for rival, side in sides.items() if rival.attaches
            }
            size = (folder / f"{label}.jpg").stat().st_size
            title = f"Attach and commit a JPEG of {label}" + (f", {size / 1e6:.1f} MB" if "mega" in label else "")
            found[title] = compared(in_turn(asks, rounds))
        for label, width in (("2 megapixels", 150), ("12 megapixels", 800)):
            makers = {rival: side for rival, side in sides.items() if rival.makes_thumbnails}
            asks = {rival.name: (side, f"thumbnail {width}") for rival, side in makers.items()}

            def attach(path: Path = folder / f"{label}.jpg", makers: Mapping[Rival, Side] = makers) -> None:
                # A size is made once of a picture, so that each round has one that was just attached.
                for side in makers.values():
                    side.ask(f"attach {path}")

            found[f"A thumbnail of {width} pixels of {label}"] = compared(in_turn(asks, rounds, before=attach))
    return found


def compared(answers: Mapping[str, Sequence[tuple[float, int]]]) -> list[dict[str, Any]]:
    """A row for each side: the median of its seconds, and of its ratios to ours."""
    ours = [seconds for seconds, _ in answers[OURS]]
    rows = []
    for name, each in answers.items():
        seconds = [one for one, _ in each]
        ratios = [one / two for one, two in zip(seconds, ours, strict=True)]
        rows.append(
            {
                "side": name,
                "seconds": statistics.median(seconds),
                "ratio": statistics.median(ratios),
                "syncs": statistics.median(syncs for _, syncs in each),
            }
        )
    return rows


def imports(rounds: int) -> list[dict[str, Any]]:
    """What an import loads and costs beyond SQLAlchemy's ORM."""
    pythons = {rival.name: python_of(rival.environment) for rival in RIVALS}
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in IMPORTS}
    for turn in range(-1, rounds):
        for name, lines in IMPORTS.items():
            program = (
                "import sys, time, sqlalchemy.orm\nbefore, start = set(sys.modules), time.process_time()\n"
                f"{lines}\nprint(time.process_time() - start, len(sys.modules.keys() - before))"
            )
            command = [pythons[name], "-W", "ignore", "-c", program]
            seconds, modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            if turn >= 0:
                found[name].append((float(seconds), int(modules)))
    return [
        {"side": name, "seconds": statistics.median(one for one, _ in each), "modules": each[0][1]}
        for name, each in found.items()
    ]


def written(seconds: float) -> str:
    """A time for people."""
    if seconds >= 1:
        return f"{seconds:.3g}\N{NO-BREAK SPACE}s"
    return f"{seconds * 1e3:.3g}\N{NO-BREAK SPACE}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g}\N{NO-BREAK SPACE}µs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def chart(file: str, title: str, values: Sequence[tuple[str, float]], own: str = OURS) -> str:
    """Draw a chart, and refer to it."""
    (FOLDER / file).write_text(bars(title, [(name, value, written(value)) for name, value in values], own))
    return f"![{title}](figures/{file})\n"


def goal(row: Row) -> str:
    if row["most"] is None:
        return ""
    return f"at most {row['most']}: {'yes' if row['ratio'] <= row['most'] else '**no**'}"


def page(rounds: int) -> str:
    """Measure everything, and make the page of it."""
    parts: list[str] = []
    rivals = {rival.name: rival for rival in RIVALS}
    names = {rival.name: f"{rival.name} {version_of(rival)}" for rival in RIVALS}
    for number, (title, rows) in enumerate(attach_and_make(rounds).items()):
        parts.append(f"### {title}\n")
        parts.append(chart(f"files-{number}.svg", title, [(row["side"], row["seconds"]) for row in rows]))
        head = ["", "CPU", "to ours", "files synced", "keeps"]
        cells = [
            [
                names[row["side"]],
                written(row["seconds"]),
                f"{row['ratio']:.2f}",
                f"{row['syncs']:.0f}",
                rivals[row["side"]].keeps,
            ]
            for row in rows
        ]
        parts.append(table(head, cells))
    for title, sentence, measure in (
        ("Attach, replace and delete", "By hand, what is replaced is unlinked after the commit.", writing.measure),
        (
            "Show a page and an album",
            "The same tables by the same two statements; by hand, an f-string writes the URLs.",
            reading.measure,
        ),
    ):
        cells = [
            [row["work"], written(row["ours"]), written(row["by hand"]), f"{row['ratio']:.2f}", goal(row)]
            for row in measure(rounds)
        ]
        parts += [f"### {title}\n", f"{sentence}\n", table(["", "ours", "by hand", "ours to that", "wanted"], cells)]
    parts.append("### The same in ever larger tables\n")
    parts.append(
        table(
            ["", "rows of the table", "CPU", "to the smallest", "wanted"],
            [
                [row["work"], f"{row['rows']:,}", written(row["ours"]), f"{row['ratio']:.2f}", goal(row)]
                for row in growth.measure(rounds)
            ],
        )
    )
    parts.append("### Serve a file\n")
    if shutil.which("wrk") is None or shutil.which("nginx") is None:
        parts.append("Not measured: it needs wrk and nginx.\n")
    else:
        python = python_of("servers")
        served = _cpu.measure(max(3, rounds // 3), {"whitenoise": python, "Starlette": python})
        parts.append("By gunicorn, uvicorn and nginx, with one worker each, in CPU of the server.\n")
        for number, label in enumerate(_cpu.SIZES):
            rows = [row for row in served if label in row["work"]]
            values = [(row["side"], row["seconds"]) for row in rows]
            parts.append(chart(f"serving-{number}.svg", f"A request of {label}", values, own="ours"))
        cells = [
            [row["work"], row["side"], written(row["seconds"]), f"{row['ratio']:.2f}", goal(row)] for row in served
        ]
        parts.append(table(["", "", "CPU", "to ours by WSGI", "wanted"], cells))
    parts.append("### Import\n")
    cells = [[names[row["side"]], str(row["modules"]), written(row["seconds"])] for row in imports(rounds)]
    parts.append(table(["", "modules beside SQLAlchemy's ORM", "CPU"], cells))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--anyway", action="store_true", help="also on a busy machine: the page says so")
    options = parser.parse_args()
    before = busy()
    if before > MOST_BUSY and not options.anyway:
        print(
            f"expected a quiet machine, and others use {before:.0%} of this one; nothing is concluded. Wait, or see"
            " what it would say: make bench ARGS=--anyway",
            file=sys.stderr,
        )
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    figures = page(options.rounds)
    after = busy()
    out = io.StringIO()
    print(f"Measured on {datetime.datetime.now(datetime.UTC):%d %B %Y}: {machine()}.", end=" ", file=out)
    print(f"{options.rounds} rounds, {(time.monotonic() - start) / 60:.0f} minutes.\n", file=out)
    if max(before, after) > MOST_BUSY:
        shares = f"others used {before:.0%} of it before, and {after:.0%} after"
        print(f":::{{warning}}\nThe machine was busy: {shares}. Nothing is concluded here.\n:::\n", file=out)
    (FOLDER / "figures.md").write_text(out.getvalue() + figures)
    print(f"{FOLDER / 'figures.md'} and its charts are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
