"""Make a thumbnail of each type of picture: this revision of the library, and a former one, in turn.

The seconds are those of the processor, with one thread for libvips.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from _sides import ROOT, Side, in_turn, report
from attach import make_photograph
from PIL import Image


def make_pictures(folder: Path) -> dict[Path, int]:
    """Pictures of each type, with the width of the thumbnail to make."""
    make_photograph(folder / "12-megapixels.jpg", 4000, 3000)
    with Image.open(folder / "12-megapixels.jpg") as opened:
        photograph = opened.convert("RGB")
    small = photograph.resize((1600, 1200))
    frames = [photograph.crop((8 * index, 6 * index, 8 * index + 480, 6 * index + 360)) for index in range(20)]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    small.save(folder / "2-megapixels.jpg", quality=88)
    small.save(folder / "2-megapixels.png")
    small.save(folder / "2-megapixels.webp", quality=80)
    small.save(folder / "2-megapixels.avif", quality=60, speed=9)
    small.quantize(256).save(folder / "256-colours.png")
    small.quantize(256).save(folder / "still.gif")
    frames[0].save(folder / "20-frames.gif", **moving)
    frames[0].save(folder / "20-frames.png", **moving)
    frames[0].save(folder / "20-frames.webp", **moving)
    return {path: 240 if "frames" in path.name else 400 for path in sorted(folder.iterdir())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--against", default="HEAD", help="the former revision, as Git names it")
    arguments = parser.parse_args()
    os.environ["VIPS_CONCURRENCY"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["git", "-C", str(ROOT), "archive", arguments.against, "src"]
        archive = subprocess.run(command, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as former:
            former.extractall(folder / "former", filter="data")
        (folder / "pictures").mkdir()
        pictures = make_pictures(folder / "pictures")
        with (
            Side(sys.executable, "_pictures_side.py", ROOT / "src") as this,
            Side(sys.executable, "_pictures_side.py", folder / "former/src") as other,
        ):
            for path, width in pictures.items():
                question = f"{path} {width}"
                answers = in_turn({arguments.against: (other, question), "now": (this, question)}, arguments.rounds)
                report(path.name, answers, against=arguments.against, limit="now at most x 1.1")


if __name__ == "__main__":
    main()
