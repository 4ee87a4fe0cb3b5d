"""Pictures in SQLAdmin, where its sessions are AsyncSessions; the example has those that are not."""

from __future__ import annotations

import gc
import re

import httpx
import pytest
from sqladmin import Admin
from sqlalchemy.ext.asyncio import async_sessionmaker
from starlette.applications import Starlette

from databases import make_async_engine
from ext.application import Base, Photo, User
from models import picture
from sqlalchemy_imageattach.ext.sqladmin import ImageView
from sqlalchemy_imageattach.stores.memory import MemoryStore


class UserAdmin(ImageView, model=User):
    column_list = [User.name, User.picture, User.photos]


@pytest.fixture
async def make_session(sqlite_url):
    engine = make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield async_sessionmaker(engine, info={"image_store": MemoryStore()}, expire_on_commit=False)
    await engine.dispose()


# SQLAdmin leaves the files of its forms to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
async def test_pictures_are_shown_attached_in_one_transaction_and_removed(make_session):
    app = Starlette()
    Admin(app, session_maker=make_session).add_view(UserAdmin)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:

        async def shown(page="list"):
            return re.findall(r'<img [^>]*src="memory:///([^/]+)/', (await client.get(f"/admin/user/{page}")).text)

        created = await client.post("/admin/user/create", data={"name": "Ada"}, files={"picture": ("a", picture())})
        assert created.status_code == 302
        async with make_session() as session:
            user = await session.get_one(User, 1)
            await session.refresh(user, ["photos"])
            for number in (1, 2):
                await user.photos.get_image_set(id=number).afrom_blob(picture(color=number))
            await session.commit()
        assert await shown() == ["user-picture", "photo", "photo"]
        assert await shown("details/1") == ["user-picture", "photo", "photo"]
        assert await shown("edit/1") == ["user-picture"]
        removed = await client.post("/admin/user/edit/1", data={"name": "Bob", "picture-remove": "y"})
        assert removed.status_code == 302
        assert await shown() == ["photo", "photo"]
        await client.delete("/admin/user/delete?pks=1")
        async with make_session() as session:
            assert await session.get(Photo, (1, 64, 48)) is None
    gc.collect()


@pytest.fixture
def anyio_backend():
    return "asyncio"
