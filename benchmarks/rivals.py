"""What becomes of files when a transaction does not end as it began: this library beside others, by the same questions.

    python benchmarks/rivals.py

Each library stores the same pictures in a folder, in the way that its documentation shows, on the same SQLAlchemy and
SQLite.  A question is answered by looking at the folder.  Each transaction is a session of its own, as in a web
application, and loads what it changes.  What a library promises otherwise, and how fast it is, this does not say.
"""

import io
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import PIL.Image
from advanced_alchemy.config import SQLAlchemySyncConfig
from advanced_alchemy.types import FileObject, StoredObject, storages
from advanced_alchemy.types.file_object.backends.obstore import ObstoreBackend
from fastapi_storages import FileSystemStorage
from fastapi_storages.integrations.sqlalchemy import ImageType
from libcloud.storage.drivers.local import LocalStorageDriver
from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy_file import File, ImageField
from sqlalchemy_file.storage import StorageManager
from starlette.datastructures import UploadFile

from sqlalchemy_imageattach import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.stores.fs import FileSystemStore

RED, BLUE = "red", "blue"


def picture(color: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), color).save(file, "PNG")
    return file.getvalue()


class Library:
    """A library, with a folder, a database and an entity that has a picture."""

    package: str
    entity: Any

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.folder.mkdir()
        self.engine = make_engine(folder)
        self.set_up()

    def set_up(self) -> None:
        raise NotImplementedError

    def new(self, session: Session, color: str) -> Any:
        raise NotImplementedError

    def replace(self, entity: Any, color: str) -> None:
        raise NotImplementedError

    def session(self) -> Session:
        return Session(self.engine)

    def files(self) -> set[str]:
        """The colors of the files that are there."""
        pictures = {picture(color): color for color in (RED, BLUE)}
        contents = [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
        return {pictures[content] for content in contents if content in pictures}


def make_engine(folder: Path) -> Engine:
    engine = create_engine(f"sqlite:///{folder}/database.sqlite")
    # SQLAlchemy's own recipe, without which SAVEPOINTs are none on SQLite.
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


class ThisLibrary(Library):
    package = "SQLAlchemy-ImageAttach"

    def set_up(self) -> None:
        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")

        class UserPicture(Base, Image):
            __tablename__ = "user_picture"
            user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

        Base.metadata.create_all(self.engine)
        self.entity = User
        self.store = FileSystemStore(self.folder, "http://localhost/")

    def session(self) -> Session:
        return Session(self.engine, info={"image_store": self.store})

    def new(self, session: Session, color: str) -> Any:
        session.add(user := self.entity())
        self.replace(user, color)
        return user

    def replace(self, entity: Any, color: str) -> None:
        entity.picture.from_blob(picture(color))


class SQLAlchemyFile(Library):
    package = "sqlalchemy-file"

    def set_up(self) -> None:
        (self.folder / "container").mkdir()
        StorageManager._clear()
        StorageManager.add_storage("default", LocalStorageDriver(str(self.folder)).get_container("container"))

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            picture: Mapped[Any] = mapped_column(ImageField)

        Base.metadata.create_all(self.engine)
        self.entity = User

    def new(self, session: Session, color: str) -> Any:
        session.add(user := self.entity())
        self.replace(user, color)
        return user

    def replace(self, entity: Any, color: str) -> None:
        entity.picture = File(content=picture(color), filename=f"{color}.png", content_type="image/png")


class AdvancedAlchemy(Library):
    package = "advanced-alchemy"

    def set_up(self) -> None:
        storages.register_backend(ObstoreBackend(key="local", fs=self.folder.as_uri()))

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            picture: Mapped[Any] = mapped_column(StoredObject(backend="local"))

        Base.metadata.create_all(self.engine)
        self.entity = User
        self.make_session = SQLAlchemySyncConfig(engine_instance=self.engine).create_session_maker()

    def session(self) -> Session:
        session: Session = self.make_session()
        return session

    def new(self, session: Session, color: str) -> Any:
        session.add(user := self.entity())
        self.replace(user, color)
        return user

    def replace(self, entity: Any, color: str) -> None:
        entity.picture = FileObject(backend="local", filename=f"{color}.png", content=picture(color))


class FastAPIStorages(Library):
    package = "fastapi-storages"

    def set_up(self) -> None:
        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            picture: Mapped[Any] = mapped_column(ImageType(storage=FileSystemStorage(path=str(self.folder))))

        Base.metadata.create_all(self.engine)
        self.entity = User

    def new(self, session: Session, color: str) -> Any:
        session.add(user := self.entity())
        self.replace(user, color)
        return user

    def replace(self, entity: Any, color: str) -> None:
        entity.picture = UploadFile(io.BytesIO(picture(color)), filename=f"{color}.png")


def begin_with_one(library: Library) -> None:
    with library.session() as session:
        library.new(session, RED)
        session.commit()


def load(library: Library, session: Session) -> Any:
    return session.get_one(library.entity, 1)


def rolled_back_before_it_was_there(library: Library) -> bool:
    """A new picture is rolled back: no file is left."""
    with library.session() as session:
        library.new(session, RED)
        session.flush()
        session.rollback()
    return library.files() == set()


def replacement_rolled_back(library: Library) -> bool:
    """A replacement is rolled back: the old file is there, and the new one is not."""
    begin_with_one(library)
    with library.session() as session:
        library.replace(load(library, session), BLUE)
        session.flush()
        session.rollback()
    return library.files() == {RED}


def replacement_committed(library: Library) -> bool:
    """A replacement is committed: the new file is there, and the old one is not."""
    begin_with_one(library)
    with library.session() as session:
        library.replace(load(library, session), BLUE)
        session.commit()
    return library.files() == {BLUE}


def savepoint_rolled_back(library: Library) -> bool:
    """A SAVEPOINT is rolled back, what is around it committed: what came before it is there, and nothing else."""
    with library.session() as session:
        library.new(session, RED)
        session.flush()
        savepoint = session.begin_nested()
        library.new(session, BLUE)
        session.flush()
        savepoint.rollback()
        session.commit()
    return library.files() == {RED}


def deletion_in_a_savepoint_rolled_back(library: Library) -> bool:
    """Deleted in a SAVEPOINT that is released, and all of it rolled back: the file is there."""
    begin_with_one(library)
    with library.session() as session:
        with session.begin_nested():
            session.delete(load(library, session))
        session.rollback()
    return library.files() == {RED}


def closed_without_a_commit(library: Library) -> bool:
    """The session is closed without a commit: no file is left."""
    with library.session() as session:
        library.new(session, RED)
        session.flush()
    return library.files() == set()


def deleted(library: Library) -> bool:
    """The entity is deleted, and that committed: no file is left."""
    begin_with_one(library)
    with library.session() as session:
        session.delete(load(library, session))
        session.commit()
    return library.files() == set()


LIBRARIES = [ThisLibrary, AdvancedAlchemy, SQLAlchemyFile, FastAPIStorages]
QUESTIONS: list[Callable[[Library], bool]] = [
    rolled_back_before_it_was_there,
    replacement_rolled_back,
    replacement_committed,
    savepoint_rolled_back,
    deletion_in_a_savepoint_rolled_back,
    closed_without_a_commit,
    deleted,
]


def answer(library: type[Library], question: Callable[[Library], bool]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        made = library(Path(folder))
        try:
            return "yes" if question(made) else "no"
        except Exception as error:
            return type(error).__name__
        finally:
            made.engine.dispose()


def main() -> None:
    names = [f"{library.package} {version(library.package)}" for library in LIBRARIES]
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for question in QUESTIONS:
        answers = [answer(library, question) for library in LIBRARIES]
        print(f"| {(question.__doc__ or '').rstrip('.')} | " + " | ".join(answers) + " |")


if __name__ == "__main__":
    main()
