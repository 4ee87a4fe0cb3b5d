"""SQLModel, with FastAPI: image classes are tables as all others.

uvicorn with_sqlmodel:app
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, UploadFile
from sqlalchemy.orm import Mapped
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine, select

from sqlalchemy_imageattach import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.ext.pydantic import ImageOut
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class HeroBase(SQLModel):
    name: str


class Hero(HeroBase, table=True):
    id: int | None = Field(default=None, primary_key=True)
    picture: Mapped[ImageSet["HeroPicture"]] = Relationship(sa_relationship=image_attachment("HeroPicture"))


class HeroPicture(SQLModel, Image, table=True):
    hero_id: int = Field(foreign_key="hero.id", primary_key=True)
    hero: Hero = Relationship(back_populates="picture")


class HeroOut(HeroBase):
    id: int
    picture: ImageOut | None


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
SQLModel.metadata.create_all(engine)


def open_session() -> Iterator[Session]:
    with Session(engine, info={"image_store": store}) as session:
        yield session


Database = Annotated[Session, Depends(open_session)]
app = FastAPI()
app.add_middleware(store.asgi_middleware)


@app.get("/heroes")
def list_heroes(session: Database) -> list[HeroOut]:
    return [HeroOut.model_validate(hero) for hero in session.exec(select(Hero))]


@app.post("/heroes")
def add_hero(name: str, file: UploadFile, session: Database) -> HeroOut:
    session.add(hero := Hero(name=name))
    hero.picture.from_file(file)
    hero.picture.generate_thumbnail(width=150)
    session.commit()
    return HeroOut.model_validate(hero)
