"""Flask-Admin: pictures in lists, and a field that shows, replaces and removes one.

flask --app with_flask_admin run       # and then http://127.0.0.1:5000/admin/user/
"""

import os
from pathlib import Path
from typing import Any

from flask import Flask
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_imageattach import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.ext.flask import ImageAttach, thumbnail
from sqlalchemy_imageattach.ext.wtforms import ImageField

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class Base(DeclarativeBase): ...


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")


class UserPicture(db.Model, Image):
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserView(ModelView):
    form_base_class = SecureForm
    column_list = ["name", "picture"]
    column_formatters = {"picture": lambda view, context, user, name: thumbnail(user.picture, width=96, alt="")}
    form_columns = ["name", "picture"]
    form_extra_fields = {"picture": ImageField("Picture", attribute=User.picture)}

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        # Flask-Admin has let the field attach what was uploaded.
        if model.picture:
            model.picture.generate_thumbnail(width=96)


app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{HERE}/example.sqlite",
    IMAGEATTACH_STORE=f"file://{HERE}/images",
)
db.init_app(app)
ImageAttach(app)
with app.app_context():
    db.create_all()
Admin(app).add_view(UserView(User, db))
