"""Attach a photograph, make a thumbnail, show a page of users: this library, the original one, and libvips by hand."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pyvips
from _sides import Side, in_turn, original_python, report


def make_photograph(path: Path, width: int, height: int) -> None:
    """A JPEG with about the detail, and so the bytes, of a photograph of its size: clouds, edges and noise."""
    bands = [
        pyvips.Image.perlin(width, height, cell_size=cell, seed=cell) * 110
        + pyvips.Image.worley(width, height, cell_size=cell * 2, seed=cell) * 0.5
        + pyvips.Image.gaussnoise(width, height, sigma=9, mean=70, seed=cell)
        for cell in (251, 307, 401)
    ]
    picture = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    picture.jpegsave(str(path), Q=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    original = original_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = folder / "photograph.jpg"
        make_photograph(photograph, 4000, 3000)
        make_photograph(folder / "small.jpg", 400, 300)
        print(f"a JPEG of 4000 x 3000 pixels, {photograph.stat().st_size / 1e6:.1f} MB; SQLite and files on one disk")
        with (
            Side(sys.executable, "_attach_side.py", "ours", folder / "ours", photograph) as ours,
            Side(original, "_attach_side.py", "original", folder / "original", photograph) as theirs,
        ):
            attach = in_turn({"this library": (ours, "attach"), "the original 1.1.0": (theirs, "attach")}, rounds)
            report("attach and commit", attach, against="this library", limit="the original at least x 8")
            asks = {
                "this library": (ours, "thumbnail"),
                "the original 1.1.0": (theirs, "thumbnail"),
                "libvips by hand": (ours, "vips"),
            }
            # A thumbnail is made once of a picture, so each round has a picture that was just attached.
            made = in_turn(asks, rounds, before=lambda: (ours.ask("attach"), theirs.ask("attach")))
            limit = "the original at least x 4.5, by hand at least x 0.87"
            report("generate_thumbnail(width=800) and commit", made, against="this library", limit=limit)
            for side in (ours, theirs):
                side.ask("fill")
            print("\na page of 100 users, each with a thumbnail's URL   (wanted: 2 and 101 statements)")
            print(f"  this library {ours.ask('page')}, the original 1.1.0 {theirs.ask('page')}")


if __name__ == "__main__":
    main()
