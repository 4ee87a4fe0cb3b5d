"""WTForms: a file field that knows what its attribute accepts.

::

    class ProfileForm(FlaskForm):
        name = StringField("Name")
        picture = ImageField("Picture", attribute=User.picture)

    form = ProfileForm(obj=user)
    if form.validate_on_submit():
        form.populate_obj(user)

The field shows the picture that is there, offers to remove it, and refuses a file that ``from_file`` would refuse,
with a sentence for people.  It works with Flask-WTF, and with WTForms alone in any framework whose uploads can be read.
It must always be true that

- a form that is sent without a file leaves the picture as it is, unless its removal was asked for;
- what ``validate()`` has accepted is attached as it is: the file is left at its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from markupsafe import Markup

from ..entity import Image, ImageSubset, SingleImageSet, policy_of
from ..exc import InvalidImageError, MissingDependencyError
from ..imaging import probe

try:
    from wtforms import FileField
    from wtforms.validators import ValidationError
    from wtforms.widgets import FileInput
except ImportError:
    raise MissingDependencyError("WTForms needs an extra: pip install 'SQLAlchemy-ImageAttach[wtforms]'") from None

if TYPE_CHECKING:
    from wtforms.form import BaseForm

__all__ = ("ImageField",)


class ImageInput(FileInput):
    """Renders a file chooser, beside the picture that is there and a checkbox to remove it."""

    def __call__(self, field: ImageField, **attributes: Any) -> Markup:  # type: ignore[override]
        # A picture that is there already is enough.
        attributes.setdefault("required", bool(field.flags.required and not field.images))
        chooser = Markup(super().__call__(field, **attributes))  # noqa: S704  # WTForms has escaped it
        if not field.images:
            return chooser
        preview = field.preview()
        if field.flags.required:
            return preview + chooser
        return preview + chooser + _REMOVE.format(name=field.remove_name, label=field.gettext("Remove"))


_REMOVE = Markup('<label><input type="checkbox" name="{name}" value="y"> {label}</label>')


class ImageField(FileField):
    """A field for the picture of an attribute.

    Its ``data`` is the upload, or ``None`` without one.

    :param label: as every field takes it
    :param validators: more of them, such as :class:`~wtforms.validators.InputRequired`
    :param attribute: the attribute, such as ``User.picture``; what its policy accepts is accepted
    :param options: as every field takes them

    >>> from models import User  # your own
    >>> from wtforms import Form
    >>> class ProfileForm(Form):
    ...     picture = ImageField("Picture", attribute=User.picture)
    >>> print(ProfileForm().picture())
    <input accept="application/pdf,image/avif,..." id="picture" name="picture" type="file">
    """

    widget = ImageInput()

    #: What is said of a file that is refused, by the reason of the error; ``gettext`` of the form translates it.
    messages: ClassVar[Mapping[str, str]] = {
        "empty": "This file is empty.",
        "unknown_type": "This file is not an image.",
        "type_not_allowed": "Images of this type are not accepted.",
        "unsupported_type": "Images of this type cannot be read here; save it as JPEG or PNG.",
        "truncated": "This image is incomplete.",
        "damaged": "This image is damaged.",
        "unsafe": "This drawing runs scripts or loads other files; save it without them.",
        "too_costly": "This image takes too long to read; save it in a simpler form.",
        "busy": "Too many images are being read; try again in a minute.",
        "too_many_bytes": "This file is too large.",
        "too_many_pixels": "This image has too many pixels.",
        "too_many_frames": "This animation is too long.",
        "side_too_short": "This image is too small.",
        "side_too_long": "This image is too wide or too high.",
        "aspect_ratio": "This image has the wrong shape; crop it first.",
    }

    def __init__(self, label: str | None = None, validators: Any = None, *, attribute: Any, **options: Any) -> None:
        super().__init__(label, validators, **options)
        self.policy = policy_of(attribute)
        self.flags.accept = self.policy.accept
        #: The image set that the form was made with.
        self.images: SingleImageSet[Any] | ImageSubset[Any] | None = None
        #: Whether the removal of the picture was asked for.
        self.removes = False

    @property
    def remove_name(self) -> str:
        """The name of the checkbox that asks for the removal."""
        return f"{self.name}-remove"

    def process(self, formdata: Any, *arguments: Any, **options: Any) -> None:
        super().process(formdata, *arguments, **options)
        asked = formdata is not None and bool(formdata.getlist(self.remove_name))
        self.removes = asked and self.data is None and not self.flags.required

    def process_data(self, value: Any) -> None:
        self.images = value if isinstance(value, SingleImageSet | ImageSubset) else None
        self.data = None

    def process_formdata(self, valuelist: list[Any]) -> None:
        # Where no file was chosen, browsers send an empty one without a name; an update may come with a text.
        uploads = [each for each in valuelist if hasattr(each, "read") and getattr(each, "filename", True)]
        self.data = uploads[0] if uploads else None
        # What InputRequired asks for; a picture that is there already is enough.
        self.raw_data = uploads[:1] or ([self.images] if self.images else [])

    def pre_validate(self, form: BaseForm) -> None:
        """Refuse what the attribute would refuse.

        :param form: the form
        :raises ValidationError: with a sentence of :attr:`messages`
        """
        if self.data is None:
            return
        file = self.file
        try:
            probe(file, self.policy)
        except InvalidImageError as error:
            raise ValidationError(self.gettext(self.messages.get(error.reason, str(error)))) from error
        finally:
            file.seek(0)

    @property
    def file(self) -> IO[bytes]:
        """The file of the upload; what Starlette's uploads have beside a ``read`` that is awaited."""
        return cast("IO[bytes]", getattr(self.data, "file", self.data))

    def populate_obj(self, obj: Any, name: str) -> None:
        """Attach the upload, or remove the picture, or leave it as it is.

        :param obj: the entity
        :param name: the name of its attribute
        """
        if self.data is not None:
            getattr(obj, name).from_file(self.file)
        elif self.removes:
            setattr(obj, name, [])

    def preview(self) -> Markup:
        """The picture that is there, in the smallest size that was made of it.

        :returns: an element
        """
        assert self.images
        image: Image = min(self.images, key=lambda image: image.width * image.height)
        return image.img(alt="", style="display: block; height: auto; max-height: 8rem; width: auto")
