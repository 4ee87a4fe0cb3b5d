"""Flask, with Flask-SQLAlchemy and Flask-WTF: a page of people, and a form for the picture of each.

flask --app with_flask run
"""

import os
from pathlib import Path

from flask import Flask, redirect, render_template_string, url_for
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect, FlaskForm
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from sqlalchemy_imageattach import Image, ImagePolicy, ImageSet, image_attachment
from sqlalchemy_imageattach.ext.flask import ImageAttach
from sqlalchemy_imageattach.ext.wtforms import ImageField

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()
AVATAR = ImagePolicy(types=frozenset({"image/jpeg", "image/png", "image/webp"}), strip_metadata=True)


class Base(DeclarativeBase): ...


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", policy=AVATAR)


class UserPicture(db.Model, Image):
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserForm(FlaskForm):
    name = StringField("Name", [DataRequired(), Length(max=80)])
    picture = ImageField("Picture", attribute=User.picture)


app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{HERE}/example.sqlite",
    IMAGEATTACH_STORE=f"file://{HERE}/images",
    MAX_CONTENT_LENGTH=20_000_000,
)
db.init_app(app)
CSRFProtect(app)
ImageAttach(app)
with app.app_context():
    db.create_all()

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>People</title>
{% for user in users %}<p><a href="{{ url_for('edit', key=user.id) }}">
  {{ thumbnail(user.picture, width=96, alt="") }} {{ user.name }}</a></p>{% endfor %}
<form method="post" enctype="multipart/form-data">
  {{ form.csrf_token }}
  {% for field in (form.name, form.picture) %}<p>{{ field.label }} {{ field() }}
    {% for error in field.errors %}<strong>{{ error }}</strong>{% endfor %}</p>{% endfor %}
  <button>Save</button>
</form></html>"""


@app.route("/", methods=["GET", "POST"])
def people() -> ResponseReturnValue:
    return show_form(User())


@app.route("/<int:key>", methods=["GET", "POST"])
def edit(key: int) -> ResponseReturnValue:
    return show_form(db.get_or_404(User, key))


def show_form(user: User) -> ResponseReturnValue:
    form = UserForm(obj=user)
    if form.validate_on_submit():
        db.session.add(user)
        form.populate_obj(user)
        if user.picture:
            user.picture.generate_thumbnail(width=96)
        db.session.commit()
        return redirect(url_for("people"), 303)
    users = db.session.scalars(select(User).options(selectinload(User.picture)).order_by(User.id)).all()
    return render_template_string(PAGE, form=form, users=users), 422 if form.errors else 200
