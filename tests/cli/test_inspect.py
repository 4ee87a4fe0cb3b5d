from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
import PIL.ImageCms
import pytest

from models import picture
from sqlalchemy_imageattach.cli.report import Status

from .conftest import Run


def photograph() -> bytes:
    """A JPEG that a camera held upright, with a colour profile."""
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif, icc_profile=profile)
    return file.getvalue()


def test_what_the_library_sees_in_a_file_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "photograph"
    path.write_bytes(photograph())
    answer = run("inspect", path)
    assert answer.status == Status.FINE
    assert answer.out.splitlines() == [
        str(path),
        "  type      image/jpeg",
        "  size      48x64 pixels as shown, turned by orientation 6",
        "  frames    1",
        "  profile   sRGB built-in",
        f"  bytes     {path.stat().st_size:,}",
        "  accepted  yes",
    ]


def test_programs_are_told_the_same(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "photograph"
    path.write_bytes(photograph())
    (event,) = run("inspect", path, "--json").events
    assert event == {
        "event": "file",
        "file": str(path),
        "length": path.stat().st_size,
        "mimetype": "image/jpeg",
        "width": 48,
        "height": 64,
        "frames": 1,
        "orientation": 6,
        "profile": "sRGB built-in",
        "is_accepted": True,
        "reason": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"no image", "unknown_type"), (picture(100, 50)[:-20], "truncated")],
)
def test_what_is_not_accepted_is_told_with_the_reason(run: Run, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(content)
    answer = run("inspect", tmp_path / "file", "--json")
    assert (answer.status, answer.events[0]["is_accepted"], answer.events[0]["reason"]) == (Status.FOUND, False, reason)


def test_of_several_files_one_that_is_not_accepted_makes_the_status(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(picture())
    (tmp_path / "bad").write_bytes(b"no image")
    answer = run("inspect", tmp_path / "bad", tmp_path / "good", "--json")
    assert [event["is_accepted"] for event in answer.events] == [False, True]
    assert answer.status == Status.FOUND


def test_an_image_larger_than_the_limits_is_told_with_its_size(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="20000" height="20000"/>')
    (event,) = run("inspect", path, "--json").events
    assert (event["width"], event["is_accepted"], event["reason"]) == (20000, False, "too_many_pixels")


def test_a_file_that_is_not_there_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("inspect", tmp_path / "nothing").status == Status.USAGE
