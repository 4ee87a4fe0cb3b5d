"""Image classes of SQLModel."""

from __future__ import annotations

from sqlmodel import Session, SQLModel, select

from databases import make_engine
from ext.heroes import Hero, HeroPicture
from models import picture, stored
from sqlalchemy_imageattach.stores.memory import MemoryStore


def test_an_image_class_of_sqlmodel_is_attached_resized_replaced_and_deleted():
    engine, store = make_engine("sqlite://"), MemoryStore()
    SQLModel.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        session.add(hero := Hero(name="Ada"))
        hero.picture.from_blob(picture())
        hero.picture.generate_thumbnail(width=8)
        session.commit()
        assert len(stored(store)) == 2
        hero.picture.from_blob(picture(color=1))
        session.commit()
        assert [image.size for image in session.exec(select(HeroPicture))] == [(64, 48)]
        assert hero.picture.require_original().hero.name == "Ada"
        session.delete(hero)
        session.commit()
        assert stored(store) == {}
    engine.dispose()
