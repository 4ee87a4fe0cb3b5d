"""The admin interfaces, as somebody uses them: a picture is uploaded, and seen in the list and in the form."""

from __future__ import annotations

import pytest

from examples.test_examples import ASGI, EXAMPLES, WSGI
from models import picture
from serving.servers import running

#: Of each: its server; the pages of a new entity, of all, and of one; the name of the file chooser, and the button.
ADMINS = {
    "with_sqladmin": (ASGI, "create", "list", "edit/1", "picture", "input[value=Save]"),
    "with_flask_admin": (WSGI, "new/", "", "edit/?id=1", "picture", "input[value=Save]"),
    "with_starlette_admin": (ASGI, "create", "list", "edit?pk=1", "photo", "form button[type=submit]"),
}


@pytest.mark.long
@pytest.mark.parametrize("module", ADMINS)
def test_a_picture_is_uploaded_and_seen(module, page, tmp_path):
    server, new, listed, edit, field, save = ADMINS[module]
    with running([*server, f"{module}:app"], tmp_path, cwd=EXAMPLES, EXAMPLE_FOLDER=str(tmp_path)) as started:
        address = f"http://127.0.0.1:{started.port}/admin/user/"
        page.goto(address + new)
        page.fill("[name=name]", "Ada")
        upload = {"name": "ada.jpg", "mimeType": "image/jpeg", "buffer": picture(640, 480, format="JPEG")}
        page.set_input_files(f"[name={field}]", upload)
        with page.expect_navigation():
            page.click(save)
        for path in (listed, edit):
            # As an element or as a background: the browser asks for it, and gets it.
            with page.expect_response(lambda response: "user-picture" in response.url) as image:
                page.goto(address + path)
            assert (image.value.status, image.value.header_value("content-type")) == (200, "image/jpeg")
            assert all(page.evaluate("Array.from(document.images, (image) => image.naturalWidth || !image.complete)"))
