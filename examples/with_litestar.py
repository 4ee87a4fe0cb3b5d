"""Litestar, with advanced-alchemy: its sessions, its DTOs, and a store around the application.

uvicorn with_litestar:app
"""

import os
from pathlib import Path
from typing import Annotated, Any

from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyDTO,
    SQLAlchemyDTOConfig,
    SQLAlchemyPlugin,
    base,
)
from litestar import Litestar, Request, Response, get, post, put
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sqlalchemy_imageattach import Image, ImageSet, InvalidImageError, image_attachment
from sqlalchemy_imageattach.ext.pydantic import ImageOut
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class User(base.BigIntBase):
    __tablename__ = "user"
    name: Mapped[str]
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", lazy="selectin")


class UserPicture(base.DefaultBase, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserIn(SQLAlchemyDTO[User]):
    # A picture comes as an upload of its own, and not in JSON.
    config = SQLAlchemyDTOConfig(exclude={"id", "picture"})


class UserOut(SQLAlchemyDTO[User]):
    config = SQLAlchemyDTOConfig(exclude={"picture"})


class PictureRow(SQLAlchemyDTO[UserPicture]):
    config = SQLAlchemyDTOConfig(exclude={"user"})


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
alchemy = SQLAlchemyAsyncConfig(
    connection_string=f"sqlite+aiosqlite:///{HERE}/example.sqlite",
    session_config=AsyncSessionConfig(expire_on_commit=False, info={"image_store": store}),
    create_all=True,
)


@post("/users", dto=UserIn, return_dto=UserOut)
async def add_user(data: User, db_session: AsyncSession) -> User:
    db_session.add(data)
    await db_session.commit()
    return data


@get("/users/{key:int}/picture")
async def show_picture(key: int, db_session: AsyncSession) -> ImageOut | None:
    user = await db_session.get_one(User, key)
    return ImageOut.model_validate(user.picture)


@put("/users/{key:int}/picture", return_dto=PictureRow)
async def replace_picture(
    key: int,
    data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)],
    db_session: AsyncSession,
) -> UserPicture:
    user = await db_session.get_one(User, key)
    picture = await user.picture.afrom_file(data)
    await user.picture.agenerate_thumbnail(width=150)
    await db_session.commit()
    return picture


@get("/rows", return_dto=PictureRow)
async def list_rows(db_session: AsyncSession) -> list[UserPicture]:
    return list(await db_session.scalars(select(UserPicture).order_by(UserPicture.width)))


def refuse(request: Request[Any, Any, Any], error: InvalidImageError) -> Response[dict[str, str]]:
    status = 503 if error.reason == "busy" else 422
    return Response({"reason": error.reason, "detail": str(error)}, status_code=status)


api = Litestar(
    [add_user, show_picture, replace_picture, list_rows],
    plugins=[SQLAlchemyPlugin(config=alchemy)],
    exception_handlers={InvalidImageError: refuse},
)
app = store.asgi_middleware(api)
