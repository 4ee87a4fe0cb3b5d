"""The extension for Flask."""

import gc
import io
import weakref

import pytest
from flask import Flask, abort, render_template_string, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from werkzeug.middleware.proxy_fix import ProxyFix

from models import picture
from sqlalchemy_imageattach import ContextError, Image, ImageSet, current_store, image_attachment
from sqlalchemy_imageattach.ext.flask import ImageAttach
from sqlalchemy_imageattach.stores.memory import MemoryStore


class Base(DeclarativeBase): ...


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Ada")
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")


class UserPicture(db.Model, Image):
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


PAGE = "{{ thumbnail(user.picture, width=32, alt=user.name) }}"


def make_app(folder, **config):
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/database", IMAGEATTACH_STORE=f"file://{folder}/images"
    )
    app.config.update(config)
    db.init_app(app)
    ImageAttach(app)

    @app.post("/")
    def upload():
        db.session.add(user := User())
        user.picture.from_file(request.files["file"])
        user.picture.generate_thumbnail(width=32)
        db.session.commit()
        return user.picture.locate()

    @app.get("/")
    def show():
        return render_template_string(PAGE, user=db.session.scalars(select(User)).one())

    with app.app_context():
        db.create_all()
    return app


@pytest.fixture
def app(tmp_path):
    app = make_app(tmp_path)
    yield app
    with app.app_context():
        db.engine.dispose()


def upload(app, **options):
    file = io.BytesIO(picture(64, 48))
    return app.test_client().post("/", data={"file": (file, "a.png")}, **options)


def test_what_is_uploaded_is_served(app):
    url = upload(app).text
    assert url.startswith("http://localhost/__images__/user-picture/1/0/1.64x48.")
    assert app.test_client().get(url).data == picture(64, 48)


def test_templates_show_a_thumbnail_and_else_the_original_and_nothing_without_one(app):
    upload(app)
    assert 'width="32" height="24" alt="Ada"' in app.test_client().get("/").text
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        assert 'width="64"' in render_template_string("{{ thumbnail(user.picture, width=16) }}", user=user)
        assert render_template_string(PAGE, user=User()) == ""


def test_a_url_knows_of_proxies_whichever_wraps_the_application_first(tmp_path):
    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1, x_prefix=1)
    app.config["IMAGEATTACH_STORE"] = f"file://{tmp_path}?prefix=img"
    ImageAttach(app)
    app.get("/")(lambda: current_store.get_url("user-picture", 1, 2, 3, "image/png"))
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/app"}
    url = app.test_client().get("/", headers=forwarded).text
    assert url == "https://a.example/app/img/user-picture/1/0/1.2x3.png"


def test_an_earlier_hook_that_answers_401_is_answered_so(tmp_path):
    app = Flask(__name__)
    app.before_request(lambda: abort(401))
    app.config["IMAGEATTACH_STORE"] = "memory://"
    ImageAttach(app)
    client = app.test_client()
    assert [client.get("/").status_code for _ in range(2)] == [401, 401]
    with pytest.raises(ContextError):
        current_store.list_files()


def test_two_applications_in_one_another_have_each_its_own_store():
    apps = [Flask(name) for name in "ab"]
    stores = [MemoryStore(), MemoryStore()]
    for app, store in zip(apps, stores, strict=True):
        ImageAttach(app, store)
    with apps[0].app_context():
        with apps[1].app_context():
            assert current_store == stores[1]
        assert current_store == stores[0]


def test_the_extension_knows_the_store_of_the_current_application():
    images, app = ImageAttach(), Flask(__name__)
    app.config["IMAGEATTACH_STORE"] = store = MemoryStore()
    images.init_app(app)
    with app.app_context():
        assert images.store is store


def test_an_application_that_is_gone_leaves_nothing_behind():
    app = Flask(__name__)
    ImageAttach(app, store := MemoryStore())
    gone = weakref.ref(store)
    del app, store
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("config", [{}, {"IMAGEATTACH_STORE": ""}, {"IMAGEATTACH_STORE": 1}])
def test_an_application_without_a_store_is_refused(config):
    app = Flask(__name__)
    app.config.update(config)
    with pytest.raises(RuntimeError, match="IMAGEATTACH_STORE in the configuration"):
        ImageAttach(app)


def test_a_second_store_for_an_application_is_refused():
    app = Flask(__name__)
    ImageAttach(app, MemoryStore())
    with pytest.raises(RuntimeError, match="given one before"):
        ImageAttach(app, MemoryStore())


def test_commands_know_the_store_and_the_database(app):
    upload(app)
    runner = app.test_cli_runner()
    audited = runner.invoke(args=["images", "audit"])
    assert audited.exit_code == 0, audited.output
    made = runner.invoke(args=["images", "thumbnails", "--width", "16"])
    assert (made.exit_code, "1 made, 0 failed" in made.output) == (0, True)
    with app.app_context():
        (file, *_) = current_store.list_files()
        file.remove()
    assert runner.invoke(args=["images", "audit"]).exit_code == 1


def test_a_command_says_what_it_is_missing():
    app = Flask(__name__)
    ImageAttach(app, MemoryStore())
    answer = app.test_cli_runner().invoke(args=["images", "audit"])
    assert (answer.exit_code, "Missing option '--models'" in answer.output) == (2, True)
