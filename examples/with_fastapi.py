"""FastAPI, with SQLAlchemy's AsyncSession: an API that takes uploads as they are, and answers with URLs.

uvicorn with_fastapi:app
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from sqlalchemy_imageattach import Image, ImageSet, InvalidImageError, image_attachment
from sqlalchemy_imageattach.ext.pydantic import ImageOut
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", lazy="selectin")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str
    picture: ImageOut | None


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
engine = create_async_engine(os.environ.get("DATABASE_URL", f"sqlite+aiosqlite:///{HERE}/example.sqlite"))
make_session = async_sessionmaker(engine, info={"image_store": store}, expire_on_commit=False)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with make_session() as session:
        yield session


Database = Annotated[AsyncSession, Depends(open_session)]
app = FastAPI(lifespan=lifespan)
# Serves the images, and lets their URLs name the host that was asked.
app.add_middleware(store.asgi_middleware)


@app.exception_handler(InvalidImageError)
async def refuse(request: Request, error: InvalidImageError) -> JSONResponse:
    status = 503 if error.reason == "busy" else 422
    return JSONResponse({"reason": error.reason, "detail": str(error)}, status)


@app.get("/users")
async def list_users(session: Database) -> list[UserOut]:
    return [UserOut.model_validate(user) for user in await session.scalars(select(User).order_by(User.id))]


@app.post("/users", status_code=201)
async def add_user(name: str, session: Database) -> UserOut:
    # A new user is loaded with nothing yet; an empty picture says that there is nothing to load.
    session.add(user := User(name=name, picture=[]))
    await session.commit()
    return UserOut.model_validate(user)


@app.put("/users/{key}/picture")
async def replace_picture(key: int, file: UploadFile, session: Database) -> UserOut:
    user = await find(session, key)
    await user.picture.afrom_file(file)
    await user.picture.agenerate_thumbnail(width=150)
    await session.commit()
    return UserOut.model_validate(user)


@app.delete("/users/{key}/picture")
async def remove_picture(key: int, session: Database) -> UserOut:
    user = await find(session, key)
    user.picture.clear()
    await session.commit()
    return UserOut.model_validate(user)


async def find(session: AsyncSession, key: int) -> User:
    user = await session.get(User, key, options=[selectinload(User.picture)])
    if user is None:
        raise HTTPException(404)
    return user
