"""A child of figures.py: a small application on one library, in that library's own environment.

python _rival_side.py LIBRARY FOLDER

Each attaches a picture to a new row and commits, and some make a thumbnail of the last one, as their documentation
shows.  An answer is a pair: the seconds of CPU that it took, and how often a file was synced.
"""

import io
import json
import os
import sys
import time
from pathlib import Path

library, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True)
files = folder / "files"
files.mkdir()
syncs = 0
_fsync = os.fsync


def counted_fsync(descriptor):
    global syncs
    syncs += 1
    _fsync(descriptor)


os.fsync = counted_fsync


def write_aside(path, content):
    """Write a file as every careful program does: aside, synced, renamed, the folder synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def sqlalchemy_engine():
    from sqlalchemy import create_engine

    return create_engine(f"sqlite:///{folder / 'database.sqlite'}")


def ours():
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    from sqlalchemy_imageattach import Image, ImageSet, image_attachment
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

    engine = sqlalchemy_engine()
    Base.metadata.create_all(engine)
    info = {"image_store": FileSystemStore(files, "http://localhost/")}

    def attach(path):
        with Session(engine, info=info) as session, path.open("rb") as file:
            session.add(user := User())
            user.picture.from_file(file)
            session.commit()
            last[:] = [user.id]

    def thumbnail(width):
        with Session(engine, info=info) as session:
            session.get_one(User, last[0]).picture.generate_thumbnail(width=width)
            session.commit()

    last = []
    return attach, thumbnail


def by_hand(resize):
    import pyvips
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        pictures: Mapped[list["Picture"]] = relationship()

    class Picture(Base):
        __tablename__ = "picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        width: Mapped[int] = mapped_column(primary_key=True)
        height: Mapped[int] = mapped_column(primary_key=True)
        mimetype: Mapped[str]
        original: Mapped[bool]
        revision: Mapped[str]

    engine = sqlalchemy_engine()
    Base.metadata.create_all(engine)

    def place(picture):
        return files / f"{picture.user_id}" / f"{picture.width}x{picture.height}.{picture.revision}.jpg"

    def add(session, user, width, height, original, content):
        revision = os.urandom(5).hex()
        picture = Picture(width=width, height=height, mimetype="image/jpeg", original=original, revision=revision)
        user.pictures.append(picture)
        session.flush()
        write_aside(place(picture), content)
        session.commit()
        last[:] = [user.id, place(picture)]

    def attach(path):
        with Session(engine) as session:
            session.add(user := User())
            content = path.read_bytes()
            header = pyvips.Image.new_from_buffer(content, "")
            add(session, user, header.width, header.height, True, content)

    def thumbnail(width):
        with Session(engine) as session:
            original, user = last[1], session.get_one(User, last[0])
            made_width, made_height, content = resize(original, width)
            add(session, user, made_width, made_height, False, content)
            last[1] = original

    last = []
    return attach, thumbnail


def by_libvips():
    import pyvips

    def resize(path, width):
        image = pyvips.Image.thumbnail(str(path), width, size="down", height=10_000_000)
        return image.width, image.height, image.jpegsave_buffer(Q=85, keep="none")

    return by_hand(resize)


def by_pillow():
    import PIL.Image

    def resize(path, width):
        with PIL.Image.open(path) as image:
            image.thumbnail((width, 10_000_000), PIL.Image.Resampling.LANCZOS, reducing_gap=2.0)
            image.save(made := io.BytesIO(), "JPEG", quality=85)
            return *image.size, made.getvalue()

    return by_hand(resize)


def with_column(make_column, make_value):
    """A library whose picture is a column of the entity."""
    from sqlalchemy import Column, Integer
    from sqlalchemy.orm import Session, declarative_base

    Base = declarative_base()

    class User(Base):
        __tablename__ = "user"
        id = Column(Integer, primary_key=True)
        picture = make_column()

    engine = sqlalchemy_engine()
    Base.metadata.create_all(engine)

    def attach(path):
        with Session(engine) as session, path.open("rb") as file:
            session.add(User(picture=make_value(file)))
            session.commit()

    return attach, None


def sqlalchemy_file():
    from libcloud.storage.drivers.local import LocalStorageDriver
    from sqlalchemy import Column
    from sqlalchemy_file import File, ImageField
    from sqlalchemy_file.storage import StorageManager

    (files / "container").mkdir()
    StorageManager.add_storage("default", LocalStorageDriver(str(files)).get_container("container"))
    return with_column(lambda: Column(ImageField), lambda file: File(content=file, filename="picture.jpg"))


def filedepot():
    from depot.fields.sqlalchemy import UploadedFileField
    from depot.manager import DepotManager
    from sqlalchemy import Column

    DepotManager.configure("default", {"depot.storage_path": str(files)})
    return with_column(lambda: Column(UploadedFileField), lambda file: file)


def advanced_alchemy():
    from advanced_alchemy.types import FileObject, StoredObject, storages
    from advanced_alchemy.types.file_object.backends.obstore import ObstoreBackend
    from sqlalchemy import Column, event
    from sqlalchemy.orm import Session

    storages.register_backend(ObstoreBackend(key="local", fs=files.as_uri()))
    try:
        from advanced_alchemy._listeners import setup_file_object_listeners

        setup_file_object_listeners()
    except ImportError:
        from advanced_alchemy._listeners import FileObjectListener

        event.listen(Session, "before_flush", FileObjectListener.before_flush)
        event.listen(Session, "after_commit", FileObjectListener.after_commit)
        event.listen(Session, "after_rollback", FileObjectListener.after_rollback)
    names = iter(range(1 << 30))
    return with_column(
        lambda: Column(StoredObject(backend="local")),
        lambda file: FileObject(backend="local", filename=f"{next(names)}.jpg", content=file.read()),
    )


def django():
    import django as package
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "database.sqlite"}},
        INSTALLED_APPS=["easy_thumbnails"],
        MEDIA_ROOT=files,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    package.setup()
    from django.core.files import File
    from django.core.management import call_command
    from django.db import connection, models
    from easy_thumbnails.files import get_thumbnailer

    class User(models.Model):
        picture = models.ImageField(upload_to="pictures", width_field="width", height_field="height")
        width = models.IntegerField(null=True)
        height = models.IntegerField(null=True)

        class Meta:
            app_label = "application"

    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(User)

    def attach(path):
        with path.open("rb") as file:
            user = User(picture=File(file, name=path.name))
            user.save()
            last[:] = [user.pk]

    def thumbnail(width):
        get_thumbnailer(User.objects.get(pk=last[0]).picture).get_thumbnail({"size": (width, 0)})

    last = []
    return attach, thumbnail


def thumbor():
    """Its engine alone, in place of its server: as much as it does to a picture, and a file."""
    from thumbor.config import Config
    from thumbor.context import Context
    from thumbor.engines.pil import Engine

    last = []

    def attach(path):
        last[:] = [path]

    def thumbnail(width):
        engine = Engine(Context(config=Config(QUALITY=85)))
        engine.load(last[0].read_bytes(), ".jpg")
        across, down = engine.size
        engine.resize(width, round(down * width / across))
        (files / f"{width}.jpg").write_bytes(engine.read(".jpg", 85))

    return attach, thumbnail


SIDES = {
    "this library": ours,
    "libvips by hand": by_libvips,
    "Pillow by hand": by_pillow,
    "sqlalchemy-file": sqlalchemy_file,
    "filedepot": filedepot,
    "advanced-alchemy": advanced_alchemy,
    "easy-thumbnails": django,
    "thumbor": thumbor,
}
attach, thumbnail = SIDES[library]()

for line in sys.stdin:
    question, _, argument = line.strip().partition(" ")
    before = syncs
    start = time.process_time()
    if question == "attach":
        attach(Path(argument))
    else:
        thumbnail(int(argument))
    print(json.dumps([time.process_time() - start, syncs - before]), flush=True)
