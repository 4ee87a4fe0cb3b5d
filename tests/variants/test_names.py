from __future__ import annotations

import random
import re
import string
from html import escape, unescape
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlalchemy_imageattach.naming import FileKey, folder_of_variants, key_of, name_of, original_of
from sqlalchemy_imageattach.variants.recipe import Recipe, read_recipe, written
from sqlalchemy_imageattach.variants.signing import Signer

SECRET = "a secret of the application"
ORIGINAL = FileKey("user-picture", 17042, 4032, 3024, "image/jpeg", "k3v9q2")

windows = st.tuples(st.integers(0, 2000), st.integers(0, 1500), st.integers(1, 2000), st.integers(1, 1500))
recipes = st.builds(
    Recipe,
    st.integers(1, 9999),
    st.integers(1, 9999),
    st.sampled_from(["image/jpeg", "image/webp", "image/avif"]),
    st.none() | windows,
    st.booleans(),
    st.booleans(),
    st.none() | st.from_regex("[0-9a-f]{6}", fullmatch=True),
    st.integers(1, 100),
    st.booleans(),
    st.none() | st.from_regex("[0-9a-z]{1,16}", fullmatch=True),
)


def path_of(recipe: Recipe, signer: Signer | None = None, original: FileKey = ORIGINAL) -> str:
    return (signer or Signer([SECRET])).sign(folder_of_variants(original), *written(recipe))


@given(recipes)
def test_a_recipe_is_read_as_it_was_written(recipe: Recipe) -> None:
    assert read_recipe("".join(written(recipe)), (4032, 3024)) == recipe


@given(recipes)
def test_a_path_tells_its_original_and_its_recipe(recipe: Recipe) -> None:
    signed = Signer([SECRET]).read(path_of(recipe))
    assert signed is not None
    assert (signed.original, signed.recipe, signed.former_keys) == (ORIGINAL, recipe, ())
    assert name_of(signed.key) == path_of(recipe)
    assert key_of(name_of(signed.key)) == signed.key
    assert original_of(signed.key) == ORIGINAL


@given(recipes)
def test_a_path_is_the_same_after_all_that_is_done_to_urls(recipe: Recipe) -> None:
    path = path_of(recipe)
    assert re.fullmatch(r"user-picture/[a-z0-9./-]+", path)
    for changed in (quote(path), unquote(path), path.lower(), escape(path), unescape(path), str(PurePosixPath(path))):
        assert changed == path


@pytest.mark.parametrize(
    "text",
    ["064x48.webp", "64x048.webp", "64x48-q82.webp", "64x48-q101.webp", "64x48-q50.png", "64x48-c0.0.640.480.webp",
     "64x48-c0.0.641.480.webp", "64x48-c0.0.0.480.webp", "64x48-p-a.webp", "64x48-v1.webp", "64x48-v2.webp",
     "64x48.jpe", "64x48.webpjunk", "64x48-.webp", "0x48.webp", "64x48-b00FF00.webp", "٣x48.webp"],
)  # fmt: skip
def test_there_is_one_spelling(text: str) -> None:
    assert read_recipe(text, (640, 480)) is None


def test_no_altered_path_is_read() -> None:
    path = path_of(Recipe(640, 480, "image/avif", (0, 378, 3024, 2268), quality=65))
    signer = Signer([SECRET])
    assert signer.read(path) is not None
    chance = random.Random(1)
    for _ in range(10_000):
        altered = list(path)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(altered))
            altered[at : at + chance.randrange(2)] = chance.choice(string.printable + "é\udcff")
        text = "".join(altered)
        assert text == path or signer.read(text) is None


def test_a_signature_is_good_for_its_own_original_only() -> None:
    recipe = Recipe(64, 48, "image/webp", quality=82)
    path = path_of(recipe)
    for other in (ORIGINAL._replace(object_id=18042), ORIGINAL._replace(revision="x"), ORIGINAL._replace(width=4033)):
        assert Signer([SECRET]).read(path.replace(folder_of_variants(ORIGINAL), folder_of_variants(other))) is None


def test_an_old_secret_is_good_for_the_same_file() -> None:
    recipe = Recipe(64, 48, "image/webp", quality=82)
    old, both = Signer(["an older secret, as long"]), Signer([SECRET, "an older secret, as long"])
    signed = both.read(path_of(recipe, old))
    assert signed is not None
    assert name_of(signed.key) == path_of(recipe)
    assert [name_of(key) for key in signed.former_keys] == [path_of(recipe, old)]
    assert Signer([SECRET]).read(path_of(recipe, old)) is None


def test_a_path_that_no_store_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 160"):
        path_of(Recipe(64, 48, "image/webp"), original=ORIGINAL._replace(object_id=10**150))
    with pytest.raises(ValueError, match="at most 160"):
        path_of(Recipe(64, 48, "image/webp"), original=ORIGINAL._replace(object_type="é" * 81))


@pytest.mark.parametrize("secret", ["", "short", b"15 bytes only!!"])
def test_a_secret_that_could_be_guessed_is_refused(secret: str | bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Signer([secret])
    with pytest.raises(ValueError, match="expected a secret"):
        Signer([])
