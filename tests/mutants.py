"""Puts small faults into the code, one at a time, and says which of them the nearest tests do not notice.

``python tests/mutants.py ROOM [COUNT] [SEED]`` tries so many faults of a room, drawn by chance.  It works on a copy, so
that what is being written meanwhile is left alone.  What survives is printed with its line: either no test notices it,
and one is missing, or nobody would see it.

The faults are those of cosmic-ray, which rewrites a file and runs the tests in a process of its own; that copes with
what is decided when a module is imported, with listeners, and with processes that tests start.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.commands import execute, init
from cosmic_ray.config import ConfigDict
from cosmic_ray.modules import find_modules
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).parent.parent
#: The tests that are nearest to each room.
NEAREST = {
    "transactions": "tests/guarantees/test_transactions.py tests/guarantees/test_endings.py"
    " tests/guarantees/test_overwriting.py tests/entity tests/guarantees/test_async.py",
    "serving": "tests/serving --deselect tests/serving/test_browser.py",
    "stores/fs.py": "tests/stores/test_fs.py tests/stores/test_store.py tests/stores/test_contract.py"
    " tests/serving/test_http.py",
    "imaging/headers": "tests/imaging/test_probe.py tests/imaging/test_truncated.py tests/imaging/test_colors.py"
    " tests/imaging/test_resize.py tests/pixels/test_as_chromium_shows.py tests/pixels/test_tiff_and_heic.py",
}
#: Annotations are not evaluated, and what a tired hand confuses is not a sum and a power.
FAMILIES = (
    *("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "ComparisonOperator", "AddNot", "TrueWithFalse"),
    *("FalseWithTrue", "AndWithOr", "OrWithAnd", "BreakWithContinue", "ContinueWithBreak", "NumberReplacer"),
    *("ZeroIterationForLoop", "ExceptionReplacer", "Delete_Not", "RemoveDecorator"),
)


def draw(session: WorkDB, count: int, seed: int) -> None:
    """Leave so many faults of a session to be tried, and pass over the others."""
    likely = [item for item in session.work_items if is_likely(item)]
    chosen = {item.job_id for item in random.Random(seed).sample(likely, min(count, len(likely)))}
    passed_over = [item.job_id for item in session.work_items if item.job_id not in chosen]
    session.set_multiple_results(passed_over, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def is_likely(item: WorkItem) -> bool:
    return any(family in item.mutations[0].operator_name for family in FAMILIES)


def main(room: str, count: int = 50, seed: int = 0) -> None:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in ("src", "tests", "docs", "examples"):
            shutil.copytree(ROOT / name, Path(folder) / name, symlinks=True)
        for name in ("conftest.py", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = f"{folder}/src"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a file of the same second and size would be taken for the old one
        python = os.environ.get("IMAGEATTACH_PYTHON", sys.executable)
        config = ConfigDict(
            {
                "module-path": f"src/sqlalchemy_imageattach/{room}",
                "timeout": 300.0,
                "excluded-modules": [],
                "test-command": f"{python} -m pytest -x -q -p no:cacheprovider -p no:randomly {NEAREST[room]}",
                "distributor": {"name": "local"},
            }
        )
        if subprocess.run(config["test-command"].split(), check=False, stdout=subprocess.DEVNULL).returncode:
            sys.exit("expected the tests to pass without a fault, and they fail: run them by hand in a copy")
        with use_db("session.sqlite", WorkDB.Mode.create) as session:
            init(find_modules([Path(config["module-path"])]), session, config.operators_config)
            draw(session, count, seed)
            execute(session, config)
            tried = [(job, result) for job, result in session.completed_work_items if result.test_outcome]
            survived = [(job, result) for job, result in tried if result.test_outcome is TestOutcome.SURVIVED]
        for _, result in survived:
            print(result.diff)
        print(f"{room}: {len(tried) - len(survived)} of {len(tried)} noticed")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
