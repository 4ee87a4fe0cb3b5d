"""Models as SQLModel has them; it does not read annotations that wait to be evaluated."""

from sqlalchemy.orm import Mapped
from sqlmodel import Field, Relationship, SQLModel

from sqlalchemy_imageattach import Image, ImageSet, image_attachment


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    picture: Mapped[ImageSet["HeroPicture"]] = Relationship(sa_relationship=image_attachment("HeroPicture"))


class HeroPicture(SQLModel, Image, table=True):
    __tablename__ = "hero_picture"
    hero_id: int = Field(foreign_key="hero.id", primary_key=True)
    hero: Hero = Relationship(back_populates="picture")
