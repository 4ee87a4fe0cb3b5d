"""Files on S3: this library, obstore by hand and boto3, on a real server; a flush with latency; a very large file.

The server is SeaweedFS, on this machine and with its data on this disk.  Every side sends the same names and
headers, and the condition that the object is new.  The server works as long for each of them, and on a machine of few
processors that is most of the time; so what the client's process took of a processor is told beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _sides import ROOT, Side, in_turn, report

sys.path.insert(0, str(ROOT / "tests"))
import parts

SIDES = {"this library": "ours", "obstore by hand": "obstore", "boto3": "boto3"}


def compare(address: str, rounds: int, files: int) -> None:
    with started_sides(address) as sides:
        for at_once, least in ((1, 1.7), (16, 2.5)):
            for operation in ("put", "get"):
                asks = {name: (side, f"{operation} {files} {at_once}") for name, side in sides.items()}
                # What is fetched has been put in the same round, by the side that fetches it.
                prepare = [side for side in sides.values() if operation == "get"]
                answers = in_turn(
                    asks, rounds, before=lambda prepare=prepare: [side.ask(f"fill {files}") for side in prepare]
                )
                seconds, of_processor = (
                    {name: [each[index] for each in pairs] for name, pairs in answers.items()} for index in (0, 1)
                )
                title = f"{operation} {files:,} files of 50 KB, {at_once} at once"
                report(title, seconds, against="this library", limit=f"boto3 at least x {least}")
                both = {name: seconds[name] for name in ("obstore by hand", "this library")}
                report(title, both, against="obstore by hand", limit="this library at most x 1.15")
                report(f"{title}, processor", of_processor, against="this library", limit="nothing, for comparison")


@contextmanager
def started_sides(address: str) -> Iterator[dict[str, Side]]:
    sides = {name: Side(sys.executable, "_s3_side.py", side, address) for name, side in SIDES.items()}
    try:
        yield sides
    finally:
        for side in sides.values():
            side.__exit__()


def flush_with_latency(address: str, rounds: int) -> None:
    proxy = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "_latency.py"), address, "0.05"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert proxy.stdout
        slow = proxy.stdout.readline().strip()
        with Side(sys.executable, "_s3_side.py", "ours", slow) as side:
            answers = in_turn({"one put": (side, "one"), "flush": (side, "flush")}, rounds)
    finally:
        proxy.kill()
        proxy.wait()
    title = "flush an original and 7 thumbnails, with 50 ms of added latency"
    report(title, answers, against="one put", limit="the flush at most x 2")


def attach_large(address: str, megabytes: int) -> None:
    with Side(sys.executable, "_s3_side.py", "ours", address) as side:
        grown, seconds = side.ask(f"large {megabytes}")
    print(f"\nattach and commit a picture of {megabytes:,} MB   (wanted: under 100 MB of memory)")
    print(f"  memory grew by {grown / 1e6:.0f} MB at the most, in {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=1024)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        running = parts.Parts(Path(folder))
        try:
            address = running.get(parts.s3)
            compare(address, arguments.rounds, arguments.files)
            flush_with_latency(address, arguments.rounds)
            attach_large(address, arguments.megabytes)
        finally:
            running.stop()


if __name__ == "__main__":
    main()
