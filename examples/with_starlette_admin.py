"""starlette-admin: pictures in lists, and a field that shows, replaces and removes one.

uvicorn with_starlette_admin:app       # and then http://127.0.0.1:8000/admin/
"""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette_admin import ImageField, IntegerField, StringField
from starlette_admin.contrib.sqla import Admin, ModelView
from starlette_admin.exceptions import FormValidationError

from sqlalchemy_imageattach import Image, ImageSet, InvalidImageError, image_attachment
from sqlalchemy_imageattach.entity import policy_of
from sqlalchemy_imageattach.imaging import probe
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()
store = HttpExposedFileSystemStore(HERE / "images", prefix="images")


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    # The admin's sessions are its own, so that the attribute says where its pictures are.
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", store=store, lazy="selectin")

    @property
    def photo(self) -> ImageSet["UserPicture"]:
        """The picture, as a form has it: it is set to an upload, or to None to remove it."""
        return self.picture

    @photo.setter
    def photo(self, upload: UploadFile | None) -> None:
        if upload is None:
            self.picture.clear()
        else:
            self.picture.from_file(upload)


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class PhotoField(ImageField):
    """Shows what is in an image set, as starlette-admin shows a file."""

    async def serialize_value(self, request: Request, value: Any) -> Any:
        if not value:
            return None
        return {"url": value.locate(), "filename": self.name, "content_type": value.original.mimetype}


class UserView(ModelView):
    fields = [IntegerField("id", read_only=True), StringField("name", required=True), PhotoField("photo")]

    async def validate(self, request: Request, data: dict[str, Any]) -> None:
        upload, _ = data["photo"]
        if upload is not None:
            try:
                probe(upload.file, policy_of(User.picture))
            except InvalidImageError as error:
                raise FormValidationError({"photo": str(error)}) from error
        await super().validate(request, data)


engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
Base.metadata.create_all(engine)
app = Starlette()
app.add_middleware(store.asgi_middleware)
admin = Admin(engine)
admin.add_view(UserView(User))
admin.mount_to(app)
