"""Each example runs as it stands: on a real server, over HTTP, with uploads."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from models import picture
from serving.servers import running

EXAMPLES = Path(__file__).parents[2] / "examples"
WSGI = ["gunicorn", "--bind=fd://{fd}", "--log-level=error"]
ASGI = ["uvicorn", "--fd={fd}", "--log-level=error"]
PHOTO = ("a.jpg", picture(640, 480, format="JPEG"), "image/jpeg")
NO_IMAGE = ("a.jpg", b"<html>", "image/jpeg")
#: What a browser sends of a file chooser in which nothing was chosen: a file without a name.
NOTHING = ("", b"", "application/octet-stream")


@pytest.fixture
def client(request, tmp_path):
    """A client of an example."""
    server, module = request.param
    with running([*server, f"{module}:app"], tmp_path, cwd=EXAMPLES, EXAMPLE_FOLDER=str(tmp_path)) as running_server:
        base_url = f"http://127.0.0.1:{running_server.port}"
        with httpx.Client(base_url=base_url, timeout=30, follow_redirects=True) as client:
            yield client


def submit(client, url, data, **file):
    """Sends a form as a browser does, an empty file chooser as well."""
    ((name, (filename, content, mimetype)),) = file.items()
    parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in data.items()]
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {mimetype}\r\n\r\n'
    parts.append(head.encode() + content)
    body = b"".join(b"--boundary\r\n" + part + b"\r\n" for part in parts) + b"--boundary--\r\n"
    return client.post(url, content=body, headers={"Content-Type": "multipart/form-data; boundary=boundary"})


def example(server, module):
    return pytest.mark.parametrize("client", [(server, module)], indirect=True, ids=[module])


def images(page, client):
    """The images of a page, each fetched."""
    found = [client.get(url.replace("&amp;", "&")) for url in re.findall(r'<img[^>]* src="([^"]+)"', page.text)]
    assert {answer.status_code for answer in found} <= {200}
    assert {answer.headers["content-type"] for answer in found} <= {"image/jpeg"}
    return found


def token(page):
    return re.search(r'name="csrf_?token"[^>]* value="([^"]+)"', page.text)[1]


@example(WSGI, "with_flask")
def test_flask(client):
    page = client.get("/")
    assert submit(client, "/", {"name": "Ada"}, picture=PHOTO).status_code == 400  # without CSRF's token
    filled = {"name": "Ada", "csrf_token": token(page)}
    page = submit(client, "/", filled, picture=PHOTO)
    assert len(images(page, client)) == 1
    refused = submit(client, "/1", filled | {"name": "Bob"}, picture=NO_IMAGE)
    assert (refused.status_code, "This file is not an image." in refused.text, 'value="Bob"' in refused.text) == (
        422,
        True,
        True,
    )
    # Without a file the picture stays; it goes when that is asked for.
    page = submit(client, "/1", filled | {"name": "Bob"}, picture=NOTHING)
    assert ("Bob" in page.text, len(images(page, client))) == (True, 1)
    assert "Remove" in client.get("/1").text
    page = submit(client, "/1", filled | {"picture-remove": "y"}, picture=NOTHING)
    assert images(page, client) == []


@pytest.fixture
def fastapi_on_postgresql(postgresql_url, tmp_path):
    url = postgresql_url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    options = {"cwd": EXAMPLES, "EXAMPLE_FOLDER": str(tmp_path), "DATABASE_URL": url}
    with (
        running([*ASGI, "with_fastapi:app"], tmp_path, **options) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        yield client


def test_fastapi_on_postgresql(fastapi_on_postgresql):
    client = fastapi_on_postgresql
    client.post("/users", params={"name": "Ada"})
    answer = client.put("/users/1/picture", files={"file": PHOTO}).json()["picture"]
    assert client.get(answer["url"]).content == PHOTO[1]
    assert client.get("/users").json()[0]["picture"] == answer


@example(ASGI, "with_fastapi")
def test_fastapi(client):
    assert client.post("/users", params={"name": "Ada"}).json() == {"id": 1, "name": "Ada", "picture": None}
    answer = client.put("/users/1/picture", files={"file": PHOTO}).json()["picture"]
    assert (answer["width"], answer["height"], answer["type"]) == (640, 480, "image/jpeg")
    assert answer["url"].startswith(str(client.base_url))
    assert client.get(answer["url"]).content == PHOTO[1]
    assert client.get(answer["thumbnails"][0]["url"]).status_code == 200
    assert client.get("/users").json()[0]["picture"] == answer
    refused = client.put("/users/1/picture", files={"file": NO_IMAGE})
    assert (refused.status_code, refused.json()["reason"]) == (422, "unknown_type")
    assert client.put("/users/2/picture", files={"file": PHOTO}).status_code == 404
    assert client.delete("/users/1/picture").json()["picture"] is None
    assert client.get(answer["url"]).status_code == 404
    schema = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"type": "null"} in schema["UserOut"]["properties"]["picture"]["anyOf"]


@example(ASGI, "with_starlette")
def test_starlette(client):
    page = submit(client, "/", {"title": "Sea"}, file=PHOTO)
    assert len(images(page, client)) == 1
    assert submit(client, "/", {"title": "Sea"}, file=NO_IMAGE).status_code == 422
    assert len(images(client.get("/"), client)) == 1


@example(ASGI, "with_litestar")
def test_litestar(client):
    assert client.post("/users", json={"name": "Ada"}).json() == {"id": 1, "name": "Ada"}
    assert client.get("/users/1/picture").json() is None
    row = client.put("/users/1/picture", files={"data": PHOTO}).json()
    assert (row["width"], row["original"], row["mimetype"]) == (640, True, "image/jpeg")
    answer = client.get("/users/1/picture").json()
    assert client.get(answer["url"]).content == PHOTO[1]
    assert [row["width"] for row in client.get("/rows").json()] == [150, 640]
    refused = client.put("/users/1/picture", files={"data": NO_IMAGE})
    assert (refused.status_code, refused.json()["reason"]) == (422, "unknown_type")


@example(ASGI, "with_sqlmodel")
def test_sqlmodel(client):
    answer = client.post("/heroes", params={"name": "Ada"}, files={"file": PHOTO}).json()
    assert client.get(answer["picture"]["url"]).content == PHOTO[1]
    assert client.get("/heroes").json() == [answer]


@example(WSGI, "with_pyramid")
def test_pyramid(client):
    page = submit(client, "/", {"name": "Ada"}, file=PHOTO)
    assert len(images(page, client)) == 1
    assert submit(client, "/", {"name": "Ada"}, file=NO_IMAGE).status_code == 422
    assert len(images(client.get("/"), client)) == 1
    assert client.get("/nowhere").status_code == 404


@example(ASGI, "with_sqladmin")
def test_sqladmin(client):
    assert submit(client, "/admin/user/create", {"name": "Ada"}, picture=PHOTO).status_code == 200
    assert len(images(client.get("/admin/user/list"), client)) == 1
    assert len(images(client.get("/admin/user/details/1"), client)) == 1
    assert len(images(client.get("/admin/user/edit/1"), client)) == 1
    refused = submit(client, "/admin/user/edit/1", {"name": "Bob"}, picture=NO_IMAGE)
    assert (refused.status_code, "This file is not an image." in refused.text) == (400, True)
    submit(client, "/admin/user/edit/1", {"name": "Bob"}, picture=NOTHING)
    page = client.get("/admin/user/list")
    assert ("Bob" in page.text, len(images(page, client))) == (True, 1)
    submit(client, "/admin/user/edit/1", {"name": "Bob", "picture-remove": "y"}, picture=NOTHING)
    assert images(client.get("/admin/user/list"), client) == []


@example(WSGI, "with_flask_admin")
def test_flask_admin(client):
    filled = {"name": "Ada", "csrf_token": token(client.get("/admin/user/new/"))}
    page = submit(client, "/admin/user/new/", filled, picture=PHOTO)
    assert len(images(page, client)) == 1
    page = submit(client, "/admin/user/edit/?id=1", filled | {"name": "Bob"}, picture=NOTHING)
    assert ("Bob" in page.text, len(images(page, client))) == (True, 1)
    refused = submit(client, "/admin/user/edit/?id=1", filled, picture=NO_IMAGE)
    assert "This file is not an image." in refused.text
    page = submit(client, "/admin/user/edit/?id=1", filled | {"picture-remove": "y"}, picture=NOTHING)
    assert images(page, client) == []


@example(ASGI, "with_starlette_admin")
def test_starlette_admin(client):
    filled = {"name": "Ada", "csrftoken": token(client.get("/admin/user/create"))}
    submit(client, "/admin/user/create", filled, photo=PHOTO)
    assert len(images(client.get("/admin/user/edit?pk=1"), client)) == 1
    submit(client, "/admin/user/edit?pk=1", filled | {"name": "Bob"}, photo=NOTHING)
    page = client.get("/admin/user/edit?pk=1")
    assert ("Bob" in page.text, len(images(page, client))) == (True, 1)
    refused = submit(client, "/admin/user/edit?pk=1", filled, photo=NO_IMAGE)
    assert (refused.status_code, "type" in refused.text) == (422, True)
    submit(client, "/admin/user/edit?pk=1", filled | {"_photo-delete": "on"}, photo=NOTHING)
    assert images(client.get("/admin/user/edit?pk=1"), client) == []
