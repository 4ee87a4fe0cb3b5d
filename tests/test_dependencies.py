"""What the library needs is what it says that it needs."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: What only extras bring, under the names that are imported; SQLAlchemy without its own extra is without greenlet.
OPTIONAL = ["celery", "click", "greenlet", "obstore", "opentelemetry", "pillow_heif", "pypdfium2", "rich", "typer"]


def run(program: str) -> subprocess.CompletedProcess[str]:
    blocked = f"import sys; sys.modules |= dict.fromkeys({OPTIONAL})\n"
    command = [sys.executable, "-W", "error", "-c", blocked + textwrap.dedent(program)]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=50)


def test_attaching_and_making_sizes_work_without_any_extra():
    answer = run("""
        import models
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
        from sqlalchemy_imageattach.stores.memory import MemoryStore

        engine, store = create_engine("sqlite://"), MemoryStore()
        models.Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(user := models.User())
            user.picture.from_blob(models.picture(), store=store)
            session.flush()
            user.picture.generate_thumbnail(width=8, store=store)
            session.commit()
            print(len(models.stored(store)))
            session.delete(user)
            session.commit()
            print(len(models.stored(store)))
        engine.dispose()
    """)
    assert (answer.stdout, answer.stderr) == ("2\n0\n", "")


def test_a_module_that_needs_an_extra_says_so():
    answer = run("""
        from sqlalchemy_imageattach import MissingDependencyError
        try:
            from sqlalchemy_imageattach.tasks import ImageTasks
        except MissingDependencyError as error:
            print(error)
    """)
    assert answer.stdout == "Celery needs an extra: pip install 'SQLAlchemy-ImageAttach[celery]'\n"


def test_a_function_is_enqueued_without_celery():
    answer = run("""
        from sqlalchemy.orm import Session
        from sqlalchemy_imageattach.tasks import enqueue

        with Session() as session:
            enqueue(session, lambda: print("sent"))
            session.commit()
    """)
    assert (answer.stdout, answer.stderr) == ("sent\n", "")


@pytest.mark.parametrize("module", ["alembic", "flask", "pydantic", "sqladmin", "wtforms"])
def test_a_framework_that_is_not_there_is_named_with_its_extra(module):
    answer = run(f"""
        sys.modules |= dict.fromkeys(["alembic", "flask", "pydantic", "sqladmin", "wtforms"])
        from sqlalchemy_imageattach import MissingDependencyError
        try:
            import sqlalchemy_imageattach.ext.{module}
        except MissingDependencyError as error:
            print(error)
    """)
    assert answer.stdout.endswith(f"needs an extra: pip install 'SQLAlchemy-ImageAttach[{module}]'\n")


def test_spans_without_opentelemetry_say_what_to_install():
    answer = run("""
        from sqlalchemy_imageattach import MissingDependencyError
        from sqlalchemy_imageattach.instrumentation import opentelemetry_spans
        try:
            opentelemetry_spans()
        except MissingDependencyError as error:
            print(error)
    """)
    assert answer.stdout == "spans need OpenTelemetry: pip install opentelemetry-api\n"


@pytest.mark.parametrize(
    ("data", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "SQLAlchemy-ImageAttach[heif]"),
        (b"%PDF-1.7\n%%EOF", "SQLAlchemy-ImageAttach[pdf]"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>', "pyvips[binary]"),
    ],
)
def test_an_image_whose_reader_is_not_installed_is_refused_and_the_package_named(data, package):
    answer = run(f"""
        sys.modules["pyvips"] = None
        import io, models
        from sqlalchemy_imageattach import InvalidImageError
        from sqlalchemy_imageattach.imaging import ImageInfo, probe, resize
        from sqlalchemy_imageattach.stores.memory import MemoryStore
        for call in (
            lambda: probe(io.BytesIO({data!r})),
            lambda: resize(io.BytesIO({data!r}), ImageInfo(64, 48, "image/png"), 32, 24),
            lambda: models.User().picture.from_blob({data!r}, store=MemoryStore()),
        ):
            try:
                print(call())
            except InvalidImageError as error:
                print(error.reason, "pip install '{package}'" in str(error))
    """)
    assert (answer.stdout, answer.stderr) == ("unsupported_type True\n" * 3, "")


def test_no_requirement_has_an_upper_bound():
    every = [PROJECT["dependencies"], *EXTRAS.values()]
    bounded = [each for group in every for each in group if any(sign in each for sign in ("<", "==", "~=", "!="))]
    assert bounded == []


def test_the_extra_all_is_all_others_together():
    assert EXTRAS["all"] == [f"{PROJECT['name']}[{','.join(name for name in EXTRAS if name != 'all')}]"]


def test_type_checkers_are_told_to_read_the_package():
    assert importlib.resources.files("sqlalchemy_imageattach").joinpath("py.typed").is_file()


def test_the_log_of_an_application_at_info_has_nothing_of_the_binding_of_libvips():
    answer = run("""
        import io, logging
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        import models
        from sqlalchemy_imageattach.imaging import ImageInfo, resize
        resize(io.BytesIO(models.picture(64, 48)), ImageInfo(64, 48, "image/png"), 32, 24).file.close()
        print("pyvips" in sys.modules)
    """)
    assert (answer.stdout, answer.stderr) == ("True\n", "")
