"""What is released: a wheel and an sdist that are whole, and work where nothing else is installed."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from sqlalchemy_imageattach.version import VERSION

ROOT = Path(__file__).parent.parent
PROGRAM = """
import io
import PIL.Image
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy_imageattach import Image, ImageSet, __version__, image_attachment
from sqlalchemy_imageattach.stores.memory import MemoryStore


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", back_populates="user")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


engine, photograph = create_engine("sqlite://"), io.BytesIO()
Base.metadata.create_all(engine)
PIL.Image.new("RGB", (640, 480), "teal").save(photograph, "JPEG")
with Session(engine, info={"image_store": MemoryStore()}) as session:
    session.add(user := User())
    user.picture.from_blob(photograph.getvalue())
    user.picture.generate_thumbnail(width=150)
    session.commit()
    print(__version__, sorted(image.size for image in user.picture))
engine.dispose()
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.mark.long
def test_the_wheel_has_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = email.message_from_bytes(wheel.read(metadata))
        (points,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {name.split("/")[0] for name in names} == {"sqlalchemy_imageattach", metadata.split("/")[0]}
    modules = {str(path.relative_to(ROOT / "src")) for path in ROOT.glob("src/**/*.py")}
    assert modules <= set(names)
    assert "sqlalchemy_imageattach/py.typed" in names
    assert described["Version"] == VERSION
    assert described["Description-Content-Type"] == "text/markdown"
    assert described.get_payload() == (ROOT / "README.md").read_text()
    assert "sqlalchemy_imageattach.ext.pytest_plugin" in points
    assert set(described.get_all("Classifier", [])) <= classifiers


@pytest.mark.long
def test_the_sdist_has_what_tests_and_documentation_need(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "CHANGES.md", "Makefile", "pyproject.toml", "docs/index.md"} <= names
    assert {"tests/test_release.py", "examples/demo.py", "requirements/dev.txt"} <= names
    assert not [name for name in names if name.startswith((".venv", "dist/", "docs/_build"))]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_wheel_works_in_an_environment_that_has_nothing_else(built: dict[str, Path], tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(built["wheel"])], check=True, cwd=tmp_path)
    ran = subprocess.run([python, "-E", "-W", "error", "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == (f"{VERSION} [(150, 113), (640, 480)]\n", "")
    # Each extra that is missing is one sentence.
    for module in ("ext.flask", "ext.pydantic", "ext.alembic", "ext.wtforms", "ext.sqladmin", "tasks.image_tasks"):
        program = f"import sqlalchemy_imageattach.{module}"
        ran = subprocess.run([python, "-E", "-c", program], capture_output=True, text=True, cwd=tmp_path)
        assert "needs an extra: pip install 'SQLAlchemy-ImageAttach[" in ran.stderr.splitlines()[-1]
    command = subprocess.run([python.parent / "sqlalchemy-imageattach"], capture_output=True, text=True, cwd=tmp_path)
    assert "needs the extra 'cli'" in command.stderr
