"""A gallery of people and albums, with Flask: the pages, and what their forms do.

A form that changed something is answered with a redirect (303), so that a reload does not send it again.  When anything
is refused, the same page comes back (422): it says beside each field what and why, keeps what was written, and nothing
at all is changed.  No page asks for an original, but for a size for each place.
"""

import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Flask, abort, g, has_request_context, redirect, render_template, request, url_for
from flask_wtf import CSRFProtect
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.orm import Session, selectinload
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.wrappers import Response

from sqlalchemy_imageattach.context import current_store, store_context
from sqlalchemy_imageattach.entity import ImageSet, ImageSubset
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.naming import FileKey, original_of
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

from .models import PHOTOGRAPHS, Album, Person, Portrait

site = Blueprint("site", __name__)
Page = Response | tuple[str, int]
Images = ImageSet[Any] | ImageSubset[Any]


def create_app(engine: Engine, store: HttpExposedFileSystemStore, secret: str) -> Flask:
    app = Flask(__name__)
    app.config.update(
        # Under any other name, the page of somebody whose name leads to this machine would count as one of ours.
        TRUSTED_HOSTS=["127.0.0.1", "localhost"],
        MAX_CONTENT_LENGTH=100 * 1000 * 1000,
        SECRET_KEY=secret,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    CSRFProtect(app)
    app.wsgi_app = store.wsgi_middleware(app.wsgi_app)  # type: ignore[method-assign]
    app.jinja_env.globals.update(accept=PHOTOGRAPHS.accept, now=time.perf_counter)
    app.jinja_env.filters["base64"] = lambda blob: b64encode(blob).decode()
    app.register_blueprint(site)

    @app.before_request
    def begin() -> None:
        g.began, g.queries, g.errors, g.at_end = time.perf_counter(), [], {}, ExitStack()
        g.at_end.enter_context(store_context(store))
        g.session = g.at_end.enter_context(Session(engine))

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
        if answer := committed():
            return answer
    found = g.session.scalars(select(Person).options(selectinload(Person.picture)).order_by(Person.id))
    return show("people.html", people=found.all())


@site.route("/people/<int(max=999999999):key>", methods=["GET", "POST"])
def person(key: int) -> Page:
    person: Person = g.session.get(Person, key) or abort(404)
    if request.method == "POST":
        change(person.picture)
        if answer := committed():
            return answer
    return show("person.html", person=person)


@site.post("/people/<int(max=999999999):key>/undo")
def undo(key: int) -> Page:
    person: Person = g.session.get(Person, key) or abort(404)
    before = look(person)
    if request.form["do"] == "borrow":
        others = select(Portrait).where(Portrait.original, Portrait.person_id != key).order_by(Portrait.person_id)
        with (g.session.scalars(others).first() or abort(404)).open_file() as file:
            person.picture.from_file(file)
    change(person.picture)
    inside = look(person)
    g.session.rollback()
    return show("undo.html", person=person, before=before, inside=inside, after=look(person))


@site.route("/albums", methods=["GET", "POST"])
def albums() -> Page:
    if request.method == "POST":
        g.session.add(Album(title=written("title")))
        if answer := committed():
            return answer
    found = g.session.scalars(select(Album).options(selectinload(Album.photos)).order_by(Album.id))
    return show("albums.html", albums=found.all())


@site.route("/albums/<int(max=999999999):key>", methods=["GET", "POST"])
def album(key: int) -> Page:
    album: Album = g.session.get(Album, key) or abort(404)
    if request.method == "POST":
        attach_uploads(lambda: album.photos.get_image_set(key=uuid.uuid4()))
        if answer := committed():
            return answer
    return show("album.html", album=album)


@site.route("/albums/<int(max=999999999):key>/<uuid:photo>", methods=["GET", "POST"])
def photo(key: int, photo: uuid.UUID) -> Page:
    album: Album = g.session.get(Album, key) or abort(404)
    images = album.photos.get_image_set(key=photo)
    if request.method == "POST":
        change(images)
        if answer := committed(url_for(".album", key=key) if request.form.get("do") == "delete" else None):
            return answer
    return show("photo.html", album=album, images=images) if images else abort(404)


def show(template: str, **values: Any) -> tuple[str, int]:
    return render_template(template, **values), 422 if g.errors else 200


def committed(then: str | None = None) -> Response | None:
    """Commits, and leads to a page; or nothing is changed, when something was refused."""
    if g.errors:
        g.session.rollback()
        return None
    g.session.commit()
    return redirect(then or request.path, 303)


def written(field: str) -> str:
    text = request.form[field].strip()[:80]
    if not text:
        g.errors[field] = f"Please write a {field}."
    return text


def change(images: Images) -> None:
    if request.form.get("do") == "replace":
        attach_uploads(lambda: images)
    elif request.form.get("do") == "delete":
        for image in images:
            g.session.delete(image)
    elif "focal.x" in request.form and images:
        # Where somebody has clicked, in pixels of what was shown; what is beyond it comes from no click.
        size = images.variant("whole").size
        clicked = [request.form.get(f"focal.{axis}", 0, type=int) for axis in "xy"]
        point = [min(max(at / side, 0.0), 1.0) for at, side in zip(clicked, size, strict=True)]
        images.require_original().focal_point = point[0], point[1]


def attach_uploads(choose: Callable[[], Images]) -> None:
    """Attaches each file that was sent to the image set that is chosen for it."""
    for upload in request.files.getlist("file"):
        try:
            if upload.filename:  # where nothing was chosen, browsers send an empty file without a name
                choose().from_file(upload.stream, extra_kwargs={"caption": upload.filename.rsplit(".", 1)[0]})
        except InvalidImageError as error:
            g.errors.setdefault("file", []).append((upload.filename, error))


def look(person: Person) -> dict[str, Any]:
    """What the database and the store have of somebody's picture now: what its rows name, and its files' bytes."""
    g.session.flush()
    g.session.expire_all()
    rows = sorted(FileKey.of(image) for image in person.picture)
    files = {}
    for stored in current_store.list_files():
        key = stored.key
        # Variants come when a browser asks for them, and go with what they were made of.
        if key is not None and key[:2] == (Portrait.object_type, person.id) and original_of(key) is None:
            with current_store.get_key(key) as file:
                files[key] = file.read()
    shown = person.picture.variant("tile", width=480, format="webp").make_blob() if rows else None
    return {"rows": rows, "files": files, "shown": shown, "url": person.picture.locate() if rows else None}
