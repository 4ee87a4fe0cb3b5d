"""What a flush deletes besides what the application says: all that belongs to an original that goes.

An image set has one original, and the thumbnails that were made of it.  It must always be true before a flush that

- an original that comes replaces all rows of its image set;
- an original that goes takes the thumbnails along: when it is deleted, taken out of its attribute, or moved to another
  owner or key;
- an owner that is deleted takes all images along, if its attribute cascades deletions at all, and gets none any more;
- that includes rows which the session has not loaded, and which the application hides from it;
- what is deleted is in no loaded collection any more, so that it is not shown.

Only a flush that an original comes in or goes by costs a query: see :func:`~.locking.lock_sets`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty, Session
from sqlalchemy.orm.base import NO_VALUE

from ...store import Store
from ..pending import pending_file_of
from ..which_store import known_store, remember_store
from .instances import connection_for
from .locking import CurrentFile, Identity, chunks, lock_owners, lock_sets
from .place import ImageSetRef, attachments_of, attachments_to, committed_value, known_keys, place_names, stand_in

__all__ = ("Locked", "delete_images", "replace_all")

#: What the rows name that are locked, by the topmost mapper of their class, and by identity.
Locked = dict[Mapper[Any], dict[Identity, CurrentFile]]


class _Emptied(NamedTuple):
    """An image set whose rows are about to be deleted."""

    place: ImageSetRef
    #: An instance that tells sharded sessions where the rows are.
    guide: Any
    #: The store of the files, where nothing else tells it.
    store: Store | None = None
    #: What has been attached to it, and stays.
    pending: Sequence[Any] = ()
    #: What has to be among the rows, for the image set to be the one that is meant.
    original: Any = None


def replace_all(session: Session) -> Locked:
    """Delete every row of the image sets that originals come into or go from.

    What the session was about to insert there before the last original is not inserted.

    :param session: the session, before it flushes
    :returns: what this locks
    """
    deleted, dirty = session.deleted, session.dirty
    emptied = _replaced(session, deleted)
    gone, moving = _changes(session.new, deleted, dirty)
    for each in itertools.chain(_deleted_with_owners(deleted), _left(session, gone)):
        if not any(_key(place) in emptied for place in (each.place, each.place._replace(values=()))):
            emptied[_key(each.place)] = each
    to_empty = [each for each in emptied.values() if _may_have_rows(each.place)]
    if not to_empty:
        return {}
    # Who deletes an owner waits for those who attach to it, and then sees what they have attached.
    owners = [inspect(each.place.owner) for each in to_empty if each.original is None]
    lock_owners(session, [owner for owner in owners if owner.persistent])
    return _Emptying(session, deleted, moving).run(to_empty)


def delete_images(session: Session, images: Iterable[Any]) -> None:
    """Delete images by the next flush, and take them out of what is loaded.

    :param session: the session
    :param images: images that it has
    """
    emptying = _Emptying(session, (), set())
    for image in images:
        for relationship in attachments_to(inspect(image).mapper):
            emptying.take_out(ImageSetRef.of_image(session, image, relationship), [image])
        if inspect(image).persistent:
            session.delete(image)
        elif image in session.new:
            session.expunge(image)


def _key(place: ImageSetRef) -> Any:
    return place.relationship, id(place.owner), frozenset(place.values)


def _may_have_rows(place: ImageSetRef) -> bool:
    return not inspect(place.owner).pending and None not in place.known_values().values()


def _replaced(session: Session, deleted: Collection[Any]) -> dict[Any, _Emptied]:
    """The image sets that originals come into."""
    replaced: dict[Any, tuple[ImageSetRef, Any, Store]] = {}
    pending: dict[Any, list[Any]] = {}
    for image in session.new:
        attachment = pending_file_of(image)
        if attachment is None or attachment.place is None:
            continue
        place = _in_session(session, attachment.place)
        if place.owner in deleted:
            _forget(session, image, place)
            continue
        key = _key(place)
        if image.original:
            replaced[key] = place, image, attachment.store
            for former in pending.pop(key, ()):
                _forget(session, former, place)
        pending.setdefault(key, []).append(image)
    return {key: _Emptied(*each, pending=pending[key]) for key, each in replaced.items()}


def _in_session(session: Session, place: ImageSetRef) -> ImageSetRef:
    """The image set in this session, where the image came without the object that it was attached to."""
    state = inspect(place.owner)
    if not state.detached:
        return place
    found = session.get(state.mapper, state.identity)
    if found is None:
        # The application hides it.
        names = [state.mapper.get_property_by_column(column).key for column in state.mapper.primary_key]
        found = stand_in(state.mapper, dict(state.dict) | dict(zip(names, state.identity or (), strict=True)))
    return place._replace(owner=found)


def _forget(session: Session, image: Any, place: ImageSetRef) -> None:
    collection = getattr(place.owner, place.relationship.key)
    if image in collection:
        collection.remove(image)
    if image in session.new:
        session.expunge(image)


def _deleted_with_owners(deleted: Iterable[Any]) -> Iterator[_Emptied]:
    """The image sets that go with their owners."""
    for entity in deleted:
        for relationship in attachments_of(inspect(entity).mapper):
            if relationship.cascade.delete and not relationship.passive_deletes:
                yield _Emptied(ImageSetRef(entity, relationship, ()), entity)


def _left(session: Session, gone: Iterable[Any]) -> Iterator[_Emptied]:
    """The image sets that originals go from."""
    for image in gone:
        # What was expired may be an original, and shows to be one when its row is read.
        if inspect(image).dict.get("original", True):
            for relationship in attachments_to(inspect(image).mapper):
                place = ImageSetRef.of_image(session, image, relationship)
                yield _Emptied(place, image, known_store(image), original=image)


def _changes(new: Iterable[Any], deleted: Iterable[Any], dirty: Iterable[Any]) -> tuple[list[Any], set[Any]]:
    """The images that go from where their rows are, and the identity keys of those that go elsewhere."""
    gone = [entity for entity in deleted if attachments_to(inspect(entity).mapper)]
    moving: list[Any] = []
    for entity in new:
        state = inspect(entity)
        for relationship in attachments_of(state.mapper):
            if relationship.key in state.committed_state:
                moving += filter(_is_persistent, state.attrs[relationship.key].history.added or ())
    for entity in dirty:
        state = inspect(entity)
        for relationship in attachments_of(state.mapper):
            if relationship.key in state.committed_state:
                history, here = state.attrs[relationship.key].history, known_keys(entity, relationship)
                gone += filter(_is_persistent, history.deleted or ())
                added = filter(_is_persistent, history.added or ())
                moving += [image for image in added if not _has(inspect(image), here)]
        if not place_names(state.mapper).isdisjoint(state.committed_state) and _is_moving(state):
            moving.append(entity)
    return gone + moving, {inspect(image).key for image in moving}


def _is_persistent(image: Any) -> bool:
    return bool(inspect(image).persistent)


def _is_moving(state: InstanceState[Any]) -> bool:
    """Whether the row of an image gets another owner or key."""
    for name in place_names(state.mapper) & state.committed_state.keys():
        if name not in state.mapper.relationships:
            if state.committed_state[name] not in (NO_VALUE, state.dict.get(name)):
                return True
            continue
        owner, way_back = state.dict.get(name), state.mapper.relationships[name]
        # What becomes of an image without an owner is up to its attribute.
        if owner is not None and not _has(state, _values_of(owner, way_back)):
            return True
    return False


def _values_of(owner: Any, way_back: RelationshipProperty[Any]) -> dict[str, Any]:
    """The attributes of an image that an owner says by a relationship that leads to it."""
    state = inspect(owner)
    return {
        way_back.parent.get_property_by_column(local).key: state.dict.get(
            state.mapper.get_property_by_column(remote).key
        )
        for local, remote in way_back.local_remote_pairs or ()
    }


def _has(state: InstanceState[Any], values: dict[str, Any]) -> bool:
    return all(committed_value(state, name) == value for name, value in values.items())


class _Emptying:
    """Deleting the rows of image sets.

    :param session: the session
    :param deleted: what it deletes already
    :param moving: the identity keys of images that go elsewhere, and stay
    """

    def __init__(self, session: Session, deleted: Collection[Any], moving: set[Any]) -> None:
        self._session, self._deleted, self._moving = session, deleted, moving
        self._locked: Locked = {}
        self.count = 0

    def run(self, emptied: Iterable[_Emptied]) -> Locked:
        ordered = sorted(emptied, key=lambda each: each.place.order())
        for relationship, same in itertools.groupby(ordered, lambda each: each.place.relationship):
            by_connection: dict[Connection, list[_Emptied]] = {}
            for each in same:
                connection = connection_for(self._session, relationship.mapper, each.guide)
                by_connection.setdefault(connection, []).append(each)
            for connection, there in by_connection.items():
                for chunk in chunks(there, connection):
                    self._empty(connection, chunk)
        return self._locked

    def _empty(self, connection: Connection, emptied: Sequence[_Emptied]) -> None:
        """Delete what is in image sets of one relationship."""
        places = [each.place for each in emptied]
        images, files = lock_sets(
            self._session, connection, places, inspect(emptied[0].guide).identity_token, self._moving
        )
        names = list(places[0].known_values())
        by_values = {tuple(place.known_values().values()): index for index, place in enumerate(places)}
        found: list[list[Any]] = [[] for _ in places]
        for image in images:
            values = tuple(getattr(image, name) for name in names)
            home = 0 if len(places) == 1 else by_values.get(values)
            if home is None:
                # Databases may take values for equal that Python does not.
                for each in emptied:
                    self._empty(connection, [each])
                return
            found[home].append(image)
        self._locked.setdefault(places[0].relationship.mapper.base_mapper, {}).update(files)
        for each, there in zip(emptied, found, strict=True):
            self._delete(each, there)

    def _delete(self, emptied: _Emptied, images: Sequence[Any]) -> None:
        if emptied.original is not None and not any(image is emptied.original for image in images):
            return
        staying = [image for image in images if inspect(image).key not in self._moving]
        self.count += len(staying)
        for image in staying:
            _adopt(image, emptied)
            if emptied.store is not None:
                remember_store(image, emptied.store)
        # What goes elsewhere would be an orphan if it were taken out here.
        self.take_out(emptied.place, staying)
        for image in staying:
            self._session.delete(image)

    def take_out(self, place: ImageSetRef, images: Sequence[Any]) -> None:
        """Take images out of the collection that is loaded, so that they are not shown any more.

        :param place: their image set
        :param images: the images
        """
        loaded: Any = inspect(place.owner).dict.get(place.relationship.key)
        if loaded is None or place.relationship.lazy == "dynamic" or place.owner in self._deleted:
            return
        ids = set(map(id, images))
        for image in [image for image in loaded if id(image) in ids]:
            loaded.remove(image)


def _adopt(image: Any, emptied: _Emptied) -> None:
    """Spell a key as the row has it that is replaced: to the database they are equal."""
    for name, value in emptied.place.values:
        former = getattr(image, name)
        if former != value:
            for pending in emptied.pending:
                setattr(pending, name, former)
