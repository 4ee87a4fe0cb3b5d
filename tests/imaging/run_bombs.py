"""``python run_bombs.py FOLDER libvips|pillow [WORDS]``: has each file attached and a thumbnail made of it.

Prints a line of JSON for each: its name, the outcome, seconds of processor time, and megabytes above the start.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import harm


def main(folder: Path, engine: str, words: list[str]) -> None:
    if engine == "pillow":
        # What is not there for this process is not there for those that it starts.
        absent = tempfile.mkdtemp()
        (Path(absent) / "pyvips.py").write_text("raise ImportError")
        sys.path.insert(0, absent)
    else:
        import sqlalchemy_imageattach.imaging.engines.vips
    # Engines are loaded before a child is forked, and nothing is done with them.
    import sqlalchemy_imageattach.imaging.engines.pillow  # noqa: F401

    for path in sorted(folder.iterdir()):
        if not words or any(word in path.name for word in words):
            print(json.dumps(harm.measured(path)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
