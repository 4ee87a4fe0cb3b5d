"""Starts the gallery on http://127.0.0.1:8000, and fills it with photographs if nobody is in it: ``make demo``.

``make demo ARGS="--help"`` says what can be chosen; each option may come from the environment as well.
"""

import os
import secrets
import tomllib
import uuid
from argparse import ArgumentParser
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from gallery import create_app
from gallery.models import Album, Base, Person
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import BaseImageSet
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.variants import Variants

HERE = Path(__file__).parent
SUFFIXES = {".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp"}


def fill(session: Session, photos: Path, people: dict[str, str], albums: dict[str, dict[str, str]]) -> None:
    for file, name in people.items():
        session.add(person := Person(name=name))
        attach_photo(person.picture, photos / file, name)
    for title, captions in albums.items():
        session.add(album := Album(title=title))
        for file, caption in captions.items():
            attach_photo(album.photos.get_image_set(key=uuid.uuid4()), photos / file, caption)
    session.commit()


def attach_photo(images: BaseImageSet[Any], photo: Path, caption: str) -> None:
    try:
        with photo.open("rb") as file:
            images.from_file(file, extra_kwargs={"caption": caption})
    except InvalidImageError as error:
        print(f"Without {photo.name}: {error}")


def secret_of(folder: Path) -> str:
    """What the gallery signs with: made up once, since a URL that was signed with another one leads nowhere."""
    file = folder / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex())
    return file.read_text()


def main() -> None:
    parser = ArgumentParser("demo", description="A gallery of people and albums, on this machine.")
    choose = parser.add_argument
    choose("--port", type=int, default=os.environ.get("DEMO_PORT", "8000"), help="0 for any one (DEMO_PORT)")
    photographs = "a folder to take photographs from, a hundred at most, in place of scikit-image's (PHOTOS)"
    choose("--photos", type=Path, default=os.environ.get("PHOTOS"), help=photographs)
    folder_help = "where the gallery keeps everything (DEMO_FOLDER)"
    choose("--folder", type=Path, default=os.environ.get("DEMO_FOLDER", HERE / ".demo"), help=folder_help)
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    secret = secret_of(folder)
    engine = create_engine(f"sqlite:///{folder / 'albumen.sqlite'}")
    store = HttpExposedFileSystemStore(folder / "images", variants=Variants(secret))
    Base.metadata.create_all(engine)
    with store_context(store), Session(engine) as session:
        if session.scalars(select(Person).limit(1)).first() is None:
            print(f"Filling {folder} with photographs ...")
            if options.photos:
                photos: Path = options.photos
                paths = [path for path in sorted(photos.rglob("*")) if path.suffix.lower() in SUFFIXES][:100]
                names = {str(path.relative_to(photos)): path.stem for path in paths}
                fill(session, photos, dict(list(names.items())[:12]), {photos.resolve().name: names})
            else:
                photos = Path(str(distribution("scikit-image").locate_file("skimage/data")))
                fill(session, photos, **tomllib.loads((HERE / "gallery/samples.toml").read_text()))
    create_app(engine, store, secret).run(port=options.port)


if __name__ == "__main__":
    main()
