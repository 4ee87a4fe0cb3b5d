"""SQLAdmin: pictures in lists and on pages of details, and a field in forms that shows, replaces and removes them.

::

    class UserAdmin(ImageView, model=User):
        column_list = [User.id, User.name, User.picture]

    Admin(app, session_maker=sessionmaker(engine, info={"image_store": store})).add_view(UserAdmin)

:class:`ImageView` is a ``ModelView`` with one thing more: it knows which relationships of the model are images.  It
must always be true that

- a form that is saved without a file leaves the picture as it is;
- a picture is attached in the transaction of the other changes of its form, or not at all;
- nothing that is slow holds up the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import IO, Any

from markupsafe import Markup
from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.orm.attributes import set_committed_value

from ..concurrency import run
from ..context import current_store
from ..entity import Image, ImageSubset, MultipleImageSet, SingleImageSet
from ..exc import MissingDependencyError
from ..store import Store

try:
    import anyio.to_thread
    from sqladmin import ModelView
    from sqladmin.forms import ModelConverter
    from starlette.requests import Request

    from .wtforms import ImageField
except ImportError:
    raise MissingDependencyError("SQLAdmin needs an extra: pip install 'SQLAlchemy-ImageAttach[sqladmin]'") from None

__all__ = ("ImageView",)

#: Pixels, of what lists show.
_HEIGHT = 64
_STYLE = f"height: auto; max-height: {_HEIGHT}px; width: auto"


class ImageModelConverter(ModelConverter):
    """Makes an :class:`~.wtforms.ImageField` of an attribute with one picture; a converter of yours may inherit it."""

    async def convert(self, model: type[Any], prop: Any, *arguments: Any, **options: Any) -> Any:
        """Make the field of an attribute.

        :param model: the class
        :param prop: the attribute
        :param arguments: as SQLAdmin has them
        :param options: as SQLAdmin has them
        :returns: the field; ``None`` for an attribute with many pictures, which has none
        """
        if not _is_of_images(prop) or options.get("override") is not None:
            return await super().convert(model, prop, *arguments, **options)
        if issubclass(prop.collection_class or MultipleImageSet, MultipleImageSet):
            return None
        return ImageField(options.get("label"), attribute=getattr(model, prop.key), name=prop.key, description=prop.doc)


class ImageView(ModelView):
    """A ``ModelView`` that knows which attributes of its model are pictures.

    What it does with an upload is in :meth:`on_model_change`: a view that overrides that calls it.
    """

    form_converter = ImageModelConverter

    def __init__(self) -> None:
        mapper: Mapper[Any] = inspect(self.model)
        self._pictures = [prop.key for prop in mapper.relationships if _is_of_images(prop)]
        super().__init__()
        # They have no page of their own to link to.
        self._non_link_related_fields += self._pictures

    async def get_list_value(self, obj: Any, prop: str, request: Request | None = None) -> tuple[Any, Any]:
        """The value of an attribute, and what a list shows of it.

        :param obj: the entity
        :param prop: the name of the attribute
        :param request: the request
        :returns: the value, and an element
        """
        value, formatted = await super().get_list_value(obj, prop, request)
        return value, self._shown(value, formatted)

    async def get_detail_value(self, obj: Any, prop: str, request: Request | None = None) -> tuple[Any, Any]:
        """The value of an attribute, and what a page of details shows of it.

        :param obj: the entity
        :param prop: the name of the attribute
        :param request: the request
        :returns: the value, and an element
        """
        value, formatted = await super().get_detail_value(obj, prop, request)
        return value, self._shown(value, formatted)

    async def get_object_for_edit(self, request: Request) -> Any:
        """Load the entity that a form is for.

        :param request: the request
        :returns: the entity, or ``None``
        """
        obj = await super().get_object_for_edit(request)
        if obj is not None and request.method == "POST":
            # For a form that comes without a file SQLAdmin would upload what is there once more, from a storage of its
            # own.  This copy is for the page alone.
            for name in self._pictures:
                set_committed_value(obj, name, [])
        return obj

    async def on_model_change(self, data: dict[str, Any], model: Any, is_created: bool, request: Request) -> None:
        """Attach what was uploaded, and remove what was to be removed, in the transaction of all other changes.

        :param data: what the form has; the pictures are taken out of it
        :param model: the entity
        :param is_created: whether it is new
        :param request: the request
        """
        await super().on_model_change(data, model, is_created, request)
        form = await request.form()
        for name in self._pictures:
            upload = data.pop(name, None)
            if upload is not None:
                await self._change(partial(_attach, model, name, upload.file, self._store))
            elif form.get(f"{name}-remove"):
                await self._change(partial(setattr, model, name, []))

    async def _change(self, change: Callable[[], object]) -> None:
        await (run(change) if self.is_async else anyio.to_thread.run_sync(change))

    @property
    def _store(self) -> Store:
        """The default store of the sessions, for an entity that is in none yet."""
        info: dict[str, Any] = self.session_maker.kw.get("info") or {}
        store: Store = info.get("image_store", current_store)
        return store

    def _shown(self, value: Any, formatted: Any) -> Any:
        if isinstance(value, MultipleImageSet):
            return Markup(" ").join(self._shown(images, formatted) for images in value.image_sets)
        if not isinstance(value, SingleImageSet | ImageSubset):
            return formatted
        # Of the sizes that are there: the smallest of those that are large enough, else the largest.
        shown = min(value, key=lambda image: (image.height < _HEIGHT, abs(image.height - _HEIGHT)), default=None)
        return "" if shown is None else shown.img(alt="", style=_STYLE)


def _is_of_images(prop: Any) -> bool:
    return isinstance(prop, RelationshipProperty) and bool(prop.uselist) and issubclass(prop.mapper.class_, Image)


def _attach(model: Any, name: str, file: IO[bytes], store: Store) -> None:
    getattr(model, name).from_file(file, store)
