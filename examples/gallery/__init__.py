"""A gallery of people and albums, with Flask: the pages, and what their forms do.

A form that changed something is answered with a redirect (303), so that a reload does not send it again.  When a file
is refused, the answer says which one and why (422), and nothing at all is changed.
"""

import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, abort, g, has_request_context, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.orm import Session, selectinload
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.wrappers import Response

from sqlalchemy_imageattach.context import current_store, store_context
from sqlalchemy_imageattach.entity import ImageSet, ImageSubset
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

from .models import LARGE, MEDIUM, SMALL, Album, Person, Portrait, attach

site = Blueprint("site", __name__)
Page = str | Response
Images = ImageSet[Any] | ImageSubset[Any]


def create_app(engine: Engine, store: HttpExposedFileSystemStore) -> Flask:
    app = Flask(__name__)
    # Under any other name, the page of somebody whose name leads to this machine would count as one of ours.
    app.config.update(TRUSTED_HOSTS=["127.0.0.1", "localhost"], MAX_CONTENT_LENGTH=100 * 1000 * 1000)
    app.wsgi_app = store.wsgi_middleware(app.wsgi_app)  # type: ignore[method-assign]
    app.jinja_env.globals.update(SMALL=SMALL, MEDIUM=MEDIUM, LARGE=LARGE, now=time.perf_counter, back=back)
    app.jinja_env.filters["base64"] = lambda blob: b64encode(blob).decode()
    app.register_blueprint(site)

    @app.before_request
    def begin() -> None:
        g.began, g.queries, g.at_end = time.perf_counter(), [], ExitStack()
        g.at_end.enter_context(store_context(store))
        g.session = g.at_end.enter_context(Session(engine))
        # Browsers say which site sends a form.  Other clients do not, and act for nobody but themselves.
        here = request.host_url.rstrip("/")
        if request.method == "POST" and request.headers.get("Origin", here) != here:
            abort(403, "This form was sent by another site.")

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        g.pop("at_end", ExitStack()).close()

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", error=error), error.code or 500

    # Raised before any route is known, so that no page can be made: it is its own response.
    app.register_error_handler(SecurityError, lambda error: error)

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: Connection, __: object, statement: str, *___: object) -> None:
        if has_request_context():
            g.queries.append(" ".join(statement.split()))

    return app


@site.route("/", methods=["GET", "POST"])
def people() -> Page:
    if request.method == "POST":
        person = Person(name=written("name"))
        g.session.add(person)
        attach_uploads(lambda: person.picture)
        return commit()
    found = g.session.scalars(select(Person).options(selectinload(Person.picture)).order_by(Person.id))
    return render_template("people.html", people=found.all())


@site.route("/people/<int(max=999999999):key>", methods=["GET", "POST"])
def person(key: int) -> Page:
    person: Person = g.session.get(Person, key) or abort(404)
    if request.method == "POST":
        change(person.picture)
        return commit()
    return render_template("person.html", person=person)


@site.post("/people/<int(max=999999999):key>/undo")
def undo(key: int) -> Page:
    person: Person = g.session.get(Person, key) or abort(404)
    before = look(person)
    if request.form["do"] == "borrow":
        others = select(Portrait).where(Portrait.original, Portrait.person_id != key).order_by(Portrait.person_id)
        with (g.session.scalars(others).first() or abort(404)).open_file() as file:
            attach(person.picture, file, caption="")
    change(person.picture)
    inside = look(person)
    g.session.rollback()
    return render_template("undo.html", person=person, before=before, inside=inside, after=look(person))


@site.route("/albums", methods=["GET", "POST"])
def albums() -> Page:
    if request.method == "POST":
        g.session.add(Album(title=written("title")))
        return commit()
    found = g.session.scalars(select(Album).options(selectinload(Album.photos)).order_by(Album.id))
    return render_template("albums.html", albums=found.all())


@site.route("/albums/<int(max=999999999):key>", methods=["GET", "POST"])
def album(key: int) -> Page:
    album: Album = g.session.get(Album, key) or abort(404)
    if request.method == "POST":
        attach_uploads(lambda: album.photos.get_image_set(key=uuid.uuid4()))
        return commit()
    return render_template("album.html", album=album)


@site.route("/albums/<int(max=999999999):key>/<uuid:photo>", methods=["GET", "POST"])
def photo(key: int, photo: uuid.UUID) -> Page:
    album: Album = g.session.get(Album, key) or abort(404)
    images = album.photos.get_image_set(key=photo)
    if request.method == "POST":
        change(images)
        return commit(url_for(".album", key=key) if request.form["do"] == "delete" else None)
    return render_template("photo.html", album=album, images=images) if images else abort(404)


def back() -> str:
    """The page of a form that was refused, with what was written into it."""
    return f"{request.path}?{urlencode({name: text for name, text in request.form.items() if name != 'do'})}"


def written(field: str) -> str:
    return request.form[field].strip()[:80] or abort(400, f"Please write a {field}.")


def change(images: Images) -> None:
    if request.form["do"] == "replace":
        attach_uploads(lambda: images)
    elif request.form["do"] == "delete":
        for image in images:
            g.session.delete(image)


def attach_uploads(choose: Callable[[], Images]) -> None:
    """Attaches each file that was sent to the image set that is chosen for it; or none, when one is refused."""
    refused = []
    for upload in request.files.getlist("file"):
        try:
            if upload.filename:  # where nothing was chosen, browsers send an empty file without a name
                attach(choose(), upload.stream, caption=upload.filename.rsplit(".", 1)[0])
        except InvalidImageError as error:
            refused.append((upload.filename, error))
    if refused:
        abort(Response(render_template("refused.html", refused=refused), 422, content_type="text/html; charset=utf-8"))


def commit(then: str | None = None) -> Response:
    g.session.commit()
    return redirect(then or request.path, 303)


def look(person: Person) -> dict[str, Any]:
    """What the database and the store have of somebody's picture now: what its rows name, and its files' bytes."""
    g.session.flush()
    g.session.expire_all()
    rows = sorted(FileKey.of(image) for image in person.picture)
    files = {}
    for stored in current_store.list_files():
        if stored.key is not None and stored.key[:2] == (Portrait.object_type, person.id):
            with current_store.get_key(stored.key) as file:
                files[stored.key] = file.read()
    return {"rows": rows, "files": files, "url": person.picture.locate() if rows else None}
