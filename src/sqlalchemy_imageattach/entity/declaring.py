"""Declaring the attribute that images are attached to, and having SQLAlchemy's events reach what listens to them.

The package imports this, so that the listeners are there before an image class is mapped.
"""

from __future__ import annotations

import inspect as introspection
import uuid
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SAWarning
from sqlalchemy.orm import (
    Mapper,
    QueryableAttribute,
    Relationship,
    RelationshipDirection,
    RelationshipProperty,
    relationship,
)

from ..store import Store
from ..transactions import listeners
from ..transactions.info_keys import INFO_KEY, POLICY_KEY, VARIANTS_KEY
from ..transactions.rows.place import ATTACHMENT_KEY, attachments_of
from .attaching import accepted_by
from .image import Image
from .image_set import SingleImageSet, mark_altering
from .image_subsets import MultipleImageSet
from .key_index import watch_keys
from .query import BaseImageQuery
from .sqlalchemy_internals import savepoints_of, take_none_for_empty

if TYPE_CHECKING:
    from ..imaging import ImagePolicy
    from ..variants.transform import Transform

__all__ = ("image_attachment", "policy_of")


def image_attachment(
    *args: Any,
    store: Store | None = None,
    policy: ImagePolicy | None = None,
    variants: Mapping[str, Transform] | None = None,
    **kwargs: Any,
) -> Relationship[Any]:
    """Declare an attribute that images are attached to: a :func:`~sqlalchemy.orm.relationship` to an image class.

    :param args: as :func:`~sqlalchemy.orm.relationship` takes them; first the image class, or its name
    :param store: the store to use where none is given and none is current
    :param policy: which images are accepted, and how large they may be
    :param variants: presets, by their names: see :meth:`.Image.variant`
    :param kwargs: as :func:`~sqlalchemy.orm.relationship` takes them.  With ``uselist=True`` the attribute is a
        :class:`MultipleImageSet` of many originals, told apart by a key column of the image class; else it is an
        :class:`ImageSet` with one.  With ``lazy="dynamic"`` it is a query that never loads all of them.
    :returns: the relationship
    :raises TypeError: when ``variants`` are no Transforms by their names
    :raises ValueError: for ``lazy="write_only"``, whose collections are no image sets

    >>> image_attachment("UserPicture", cascade="all").cascade.delete_orphan
    False
    """
    image_set = MultipleImageSet if kwargs.pop("uselist", False) else SingleImageSet
    kwargs.setdefault("cascade", "all, delete-orphan")
    if kwargs.get("lazy") == "write_only":
        raise ValueError('expected another lazy than "write_only"; "dynamic" never loads all of the images either')
    if kwargs.get("lazy") == "dynamic":
        kwargs.setdefault("query_class", image_set)
        kwargs["uselist"] = True
    else:
        kwargs.setdefault("collection_class", image_set)
    # The documented models have a second relationship, UserPicture.user, over the same columns; SQLAlchemy would warn.
    overlaps = kwargs.get("overlaps")
    kwargs["overlaps"] = f"{overlaps},__*" if overlaps else "__*"
    info = dict(kwargs.pop("info", None) or {})
    info[ATTACHMENT_KEY] = image_set is MultipleImageSet
    if store is not None:
        info[INFO_KEY] = store
    if policy is not None:
        info[POLICY_KEY] = policy
    if variants is not None:
        info[VARIANTS_KEY] = _checked_presets(variants)
    declared: Relationship[Any] = relationship(*args, info=info, **kwargs)
    return declared


def _checked_presets(variants: Mapping[str, Transform]) -> dict[str, Transform]:
    from ..variants.transform import Transform

    for name, transform in variants.items():
        if not isinstance(name, str) or not isinstance(transform, Transform):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected variants to be Transforms by their names, got {name!r}: {transform!r}")
    return dict(variants)


def policy_of(attribute: QueryableAttribute[Any]) -> ImagePolicy:
    """Tell what an attribute accepts: for a form that shows it, or checks a file before it is attached.

    :param attribute: an attribute, such as ``User.picture``
    :returns: the policy that :func:`image_attachment` was given, else the default one

    >>> from models import User  # your own
    >>> "image/webp" in policy_of(User.picture).accept
    True
    """
    relationship: Any = attribute.property
    return accepted_by(relationship)


def _check_owner(mapper: Mapper[Any]) -> None:
    """Check the attributes of a class that images are attached to.

    :param mapper: the mapper of the class, when it is configured
    :raises ~sqlalchemy.exc.ArgumentError: when one cannot work
    """
    for attachment in attachments_of(mapper):
        if attachment.parent is mapper:
            _check(attachment)
        if attachment.collection_class is not None:
            # When it first saw the class, SQLAlchemy wrapped append() and remove().
            kind: Any = attachment.collection_class
            mark_altering(kind)
        take_none_for_empty(getattr(mapper.class_, attachment.key))


def _check_image_class(mapper: Mapper[Any]) -> None:
    """Check that stores can name the images of a class.

    :param mapper: the mapper of the class, when it is configured
    :raises ~sqlalchemy.exc.ArgumentError: when its key makes no number, and the class does not make one
    """
    cls: Any = mapper.class_
    if introspection.getattr_static(cls, "object_id") is not introspection.getattr_static(Image, "object_id"):
        return
    names = cls.identity_attributes()
    columns = [mapper.columns[name] for name in names if name in mapper.columns]
    if len(columns) != 1:
        return
    try:
        kind = columns[0].type.python_type
    except NotImplementedError:
        return
    if not issubclass(kind, int | uuid.UUID):
        raise ArgumentError(
            f"expected {cls.__name__}.{names[0]} to be an integer or a UUID, got {columns[0].type!r}; write a property"
            f" object_id of {cls.__name__} that makes a different integer of each key"
        )


def _check(attachment: RelationshipProperty[Any]) -> None:
    name = str(attachment)
    if attachment.direction is not RelationshipDirection.ONETOMANY or attachment.secondary is not None:
        what = "secondary" if attachment.secondary is not None else attachment.direction.name.lower()
        raise ArgumentError(
            f"expected {name} to be one-to-many, got {what}; write the foreign key into"
            f" {attachment.mapper.class_.__name__}, as a part of its primary key"
        )
    if attachment.viewonly:
        raise ArgumentError(
            f"expected {name} to be written, got viewonly=True: what is attached would vanish; leave viewonly out"
        )
    if attachment.lazy == "write_only":
        raise ArgumentError(
            f"expected another lazy for {name}, got write_only; write Mapped[ImageSet[...]], or with DynamicMapped"
            ' image_attachment(..., lazy="dynamic")'
        )
    if attachment.lazy == "dynamic" and not issubclass(_query_class(attachment), BaseImageQuery):
        raise ArgumentError(
            f'expected lazy="dynamic" for {name}, which is annotated as DynamicMapped; write'
            ' image_attachment(..., lazy="dynamic")'
        )
    if attachment.passive_deletes:
        warnings.warn(
            f"{name} has passive_deletes: the database deletes rows unseen, and the audit has to find their files",
            SAWarning,
            stacklevel=2,
        )


def _query_class(relationship: RelationshipProperty[Any]) -> type[Any]:
    found: type[Any] = getattr(relationship, "query_class", None) or object
    return found


def _configure(mapper: Mapper[Any], cls: type[Any]) -> None:
    watch_keys(mapper)
    _check_image_class(mapper)
    # Two transactions may remove the same thumbnail, and both be right.
    mapper.confirm_deleted_rows = False


def _configure_owner(mapper: Mapper[Any], cls: type[Any]) -> None:
    _check_owner(mapper)


event.listen(Image, "mapper_configured", _configure, propagate=True)
listeners.listen(Image, savepoints_of)
event.listen(Mapper, "mapper_configured", _configure_owner)
