"""No small file costs much, whatever it is: at most 300 MB above the start, its processes included, and 3 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bombs
import pytest

from parts import has_to_be_complete
from sqlalchemy_imageattach.imaging.engines.isolation import pool

pytestmark = [
    pytest.mark.skipif(not (hasattr(os, "fork") and pool.AVAILABLE), reason="each file has a process of its own"),
    pytest.mark.timeout(600),
]

MEGABYTES, SECONDS = 300, 3

ENGINES = ["libvips", "pillow"]

#: What needs to be counted before it is decoded, and was too much once.
COUNTED = {
    "2000-hidden-frames.avif": "damaged",
    "2000-shown-frames.avif": "damaged",
    "frames-beyond-the-edge.gif": "damaged",
    "frames-far-outside.gif": "damaged",
    "one-huge-frame-later.gif": "damaged",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    made = bombs.corpus()
    # A newcomer waits for those that are named here, and for every fourth of the others.
    names = sorted(made) if has_to_be_complete() else [*COUNTED, *sorted(made.keys() - COUNTED.keys())[::4]]
    for name in names:
        (folder / name).write_bytes(made[name])
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    script = Path(__file__).with_name("run_bombs.py")
    command = [sys.executable, str(script), str(folder)]
    running = {
        engine: subprocess.Popen([*command, engine], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for engine in ENGINES
    }
    return {
        engine: [json.loads(line) for line in process.communicate()[0].splitlines()]
        for engine, process in running.items()
    }


@pytest.mark.long
def test_there_are_many_and_they_are_small(folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert len(sizes) >= 160
    assert max(sizes) < bombs.SMALL


@pytest.mark.parametrize("engine", ENGINES)
def test_none_takes_300_megabytes_or_3_seconds(
    results: dict[str, list[dict[str, Any]]], folder: Path, engine: str
) -> None:
    assert len(results[engine]) == len(list(folder.iterdir()))
    clean = ("refused: ", "made ", "not installed: ")
    assert [
        each
        for each in results[engine]
        if each["megabytes"] > MEGABYTES or each["seconds"] > SECONDS or not each["outcome"].startswith(clean)
    ] == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", COUNTED)
def test_what_is_decoded_and_not_shown_is_counted(
    results: dict[str, list[dict[str, Any]]], engine: str, name: str
) -> None:
    outcomes = {each["name"]: each["outcome"] for each in results[engine]}
    assert outcomes[name].startswith(f"refused: {COUNTED[name]}: ")
