from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlalchemy_imageattach.imaging.types import ALL_TYPES
from sqlalchemy_imageattach.naming import SUFFIXES, FileKey, former_names_of, guess_extension, key_of, name_of, path_of

object_types = st.text(min_size=1).filter(lambda text: text[0] != "." and not set(text) & set("/\\\0"))
keys = st.builds(
    FileKey,
    object_types,
    st.integers(-(2**160), 2**160),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(sorted(ALL_TYPES)),
    st.none() | st.from_regex(r"[0-9a-z]{1,20}", fullmatch=True),
)


@given(keys)
def test_name_tells_the_key(key: FileKey) -> None:
    assert key_of(name_of(key)) == key


@given(st.text())
def test_any_text_is_the_name_of_a_key_or_of_none(text: str) -> None:
    key = key_of(text)
    assert key is None or name_of(key) == text


@given(keys)
def test_path_of_a_name_is_in_the_folder(key: FileKey) -> None:
    path = path_of("/folder", name_of(key))
    assert path is not None
    assert os.path.normpath(path) == path
    assert path.startswith("/folder/")


@given(st.text(alphabet="./\\\0a%") | st.text())
def test_no_path_leads_out_of_the_folder(name: str) -> None:
    path = path_of("/folder", name)
    assert path is None or os.path.normpath(path).startswith("/folder/")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/",
        ".hidden",
        "a/.hidden",
        "a\0b",
        "..\\x",
        "a/.",
    ],
)
def test_names_that_lead_elsewhere_have_no_path(name: str) -> None:
    assert path_of("/folder", name) is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (FileKey("user-picture", 1, 640, 480, "image/jpeg"), "user-picture/1/0/1.640x480.jpe"),
        (FileKey("comics.cover", 123456, 1, 2, "image/png"), "comics.cover/456/123/123456.1x2.png"),
        (FileKey("user-picture", -1, 3, 4, "image/gif"), "user-picture/999/-1/-1.3x4.gif"),
    ],
)
def test_row_without_a_revision_has_the_name_that_the_original_library_gave_it(key: FileKey, name: str) -> None:
    assert name_of(key) == name


@given(keys)
def test_a_file_with_a_revision_has_one_name(key: FileKey) -> None:
    assert name_of(key) not in former_names_of(key)
    assert not (key.revision and former_names_of(key))


def test_types_that_every_machine_knew_have_one_name() -> None:
    for mimetype in ("image/jpeg", "image/png", "image/gif", "application/pdf"):
        assert former_names_of(FileKey("user-picture", 1, 640, 480, mimetype)) == []


@pytest.mark.parametrize(
    "name",
    [
        "user/1/0/2.640x480.jpe",  # another folder than its own
        "user/1/0/01.640x480.jpe",
        "user/1/0/1.640x480",
        "user/1/0/1.640x480.exe",
        "user/1/0/.0123456789abcdef.tmp",
        "user/1/0/1.640x480.UP.jpe",
        "1/0/1.640x480.jpe",
        f"user/1/0/{'9' * 5000}.1x1.png",
        "user/1/0/\N{ARABIC-INDIC DIGIT ONE}.1x1.png",
    ],
)
def test_name_that_no_key_has_tells_none(name: str) -> None:
    assert key_of(name) is None


@pytest.mark.parametrize("object_type", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0"])
def test_object_type_that_cannot_be_a_folder_is_refused(object_type: str) -> None:
    with pytest.raises(ValueError, match="expected an object type"):
        name_of(FileKey(object_type, 1, 1, 1, "image/png"))


@pytest.mark.parametrize("revision", ["", "a.b", "../x", "A", "é"])
def test_revision_that_is_not_letters_and_digits_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="expected a revision"):
        name_of(FileKey("user", 1, 1, 1, "image/png", revision))


def test_every_type_has_its_suffix_whatever_the_machine_says() -> None:
    assert guess_extension("image/jpeg") == ".jpe"
    assert guess_extension("image/x-adobe-dng") == ".dng"
    assert {mimetype: guess_extension(mimetype) for mimetype in SUFFIXES} == SUFFIXES


@pytest.mark.parametrize("mimetype", ["text/html", "", "image/../../x", "IMAGE/PNG"])
def test_unknown_type_is_refused(mimetype: str) -> None:
    with pytest.raises(ValueError, match="expected the mimetype of an image"):
        guess_extension(mimetype)
