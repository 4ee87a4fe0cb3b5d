"""Move many small images: from folder to folder, beside the original library; to S3 with latency, by more workers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _sides import ROOT, Side, in_turn, original_python, report

sys.path.insert(0, str(ROOT / "tests"))
import parts


def folder_to_folder(folder: Path, rounds: int, files: int) -> None:
    with (
        Side(sys.executable, "_migrate_side.py", "ours", folder / "ours", files) as ours,
        Side(original_python(), "_migrate_side.py", "original", folder / "original", files) as theirs,
    ):
        asks = {
            "the original 1.1.0": (theirs, "plain"),
            "this library": (ours, "plain"),
            "this library, verifying": (ours, "verified"),
            "this library, syncing": (ours, "synced"),
        }
        answers = in_turn(asks, rounds)
    limit = "this library at most x 0.83, verifying at most x 1.11"
    report(f"move {files:,} images of 4 KB from folder to folder", answers, against="the original 1.1.0", limit=limit)


def folder_to_s3(folder: Path, address: str, rounds: int, files: int) -> None:
    command = [sys.executable, str(Path(__file__).parent / "_latency.py"), address, "0.02"]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert proxy.stdout
        slow = proxy.stdout.readline().strip()
        with Side(sys.executable, "_migrate_side.py", "ours", folder / "to-s3", files, slow) as side:
            asks = {
                "16 workers": (side, "to_s3 16"),
                "1 worker": (side, "to_s3 1"),
                "audited by rows, 16 workers": (side, "audited_by_rows 16"),
            }
            answers = in_turn(asks, rounds)
    finally:
        proxy.kill()
        proxy.wait()
    title = f"move {files:,} images of 4 KB to S3, with 20 ms of added latency"
    report(title, answers, against="16 workers", limit="1 worker at least x 12")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=10_000, help="from folder to folder; to S3, a twentieth of it")
    arguments = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, tempfile.TemporaryDirectory() as data:
        folder_to_folder(Path(folder), arguments.rounds, arguments.files)
        running = parts.Parts(Path(data))
        try:
            folder_to_s3(Path(folder), running.get(parts.s3), arguments.rounds, arguments.files // 20)
        finally:
            running.stop()


if __name__ == "__main__":
    main()
