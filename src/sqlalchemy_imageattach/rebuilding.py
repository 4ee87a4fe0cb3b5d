"""Making sizes of all originals that there are.

::

    for original, thumbnails in make_thumbnails(session, Base, store, widths=[150, 600], only_missing=True):
        print(original.object_id, [thumbnail.size for thumbnail in thumbnails])

Originals are read in the order of their keys; they are decoded in threads, with no transaction open; then some at once
are attached and committed.  It must always be true that

- memory does not grow with the number of images, nor the number of queries with that of images that have all sizes;
- rows are locked for no longer than it takes to store what was made: decoding is over by then;
- what was made of an original that was replaced meanwhile is thrown away;
- an image that cannot be decoded or stored keeps no other from being made;
- a checkpoint never says more than what was committed.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Collection, Generator, Iterator, MutableMapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from os import PathLike
from typing import IO, Any, NamedTuple, cast

from sqlalchemy import and_, inspect, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapper, RelationshipProperty, Session, lazyload
from sqlalchemy.orm.attributes import set_committed_value

from .bulk.batches import batches, check_session, image_mapper, image_mappers, reading
from .bulk.checkpoint import Checkpoint
from .bulk.keys import ALL_KEYS, KeyRange, check_keys
from .concurrency import side_by_side
from .entity import Image
from .entity.attaching import Incoming, insert
from .entity.image_subsets import MultipleImageSet
from .entity.query import BaseImageQuery
from .entity.sizes import Wanted
from .entity.thumbnails import claim, find_made, inherited, make
from .entity.variants import POLICY_KEY
from .exc import InvalidImageError
from .imaging import ImagePolicy
from .naming import FileKey
from .store import Store
from .transactions.pending import Attachment
from .transactions.place import Place
from .transactions.which_store import INFO_KEY, find_store, remember_store

__all__ = ("Made", "make_thumbnails")

# How many originals are looked at together, and how many thumbnails are committed together, unless it takes longer than
# so many seconds to make them.
_LOOK_AT = 100
_COMMIT_AT = 50
_COMMIT_AFTER = 1.0


class Made(NamedTuple):
    """What was made of an original, and is committed; empty where nothing had to be, or could be made."""

    original: Image
    thumbnails: list[Image]


def make_thumbnails(
    session: Session,
    declarative_base: Any,
    store: Store,
    *,
    widths: Collection[int] = (),
    heights: Collection[int] = (),
    ratios: Collection[float] = (),
    only_missing: bool = False,
    keys: KeyRange = ALL_KEYS,
    workers: int = 1,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
) -> Iterator[Made]:
    """Make sizes of the originals of all images: anew, or those that are missing.

    Each thumbnail is what :meth:`~.BaseImageSet.generate_thumbnail` would make.  One that is made anew has a name of
    its own, and replaces the former one when it is committed.

    :param session: the session to read rows with; it must have no transaction open.  Thumbnails are committed by
        sessions of their own.
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store that has the originals and gets the thumbnails
    :param widths: pixels, a thumbnail of each
    :param heights: pixels, a thumbnail of each
    :param ratios: how many times the original's width and height, a thumbnail of each
    :param only_missing: whether sizes that are there already are left as they are
    :param keys: which rows, if it is one image class; :func:`~.bulk.key_ranges` splits it, for several processes
    :param workers: how many originals are decoded side by side
    :param checkpoint: where to note how far this has come, and where the next time goes on: a mapping, or the path of a
        file, as for :func:`~.migration.migrate`
    :param on_error: called with an original and the error, when a size of it could not be made; the others are made
        then.  Without it, the first error is raised.
    :returns: an iterator over all originals, in the order of their keys; nothing is done before it is asked
    :raises TypeError: when an argument is of another type
    :raises ValueError: when no size is asked for, a number is not positive, or the session has a transaction open

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> session.commit()
    >>> [[thumbnail.size for thumbnail in made.thumbnails]
    ...  for made in make_thumbnails(session, Base, store, widths=[150, 32])]
    [[(150, 113), (32, 24)]]
    """
    check_session(session)
    if isinstance(declarative_base, type) and issubclass(declarative_base, Image):
        mappers = [image_mapper(declarative_base)]
    else:
        mappers = image_mappers(declarative_base)
    for mapper in mappers:
        check_keys(mapper, keys)
    wanted = [Wanted(width=width) for width in widths]
    wanted += [Wanted(height=height) for height in heights]
    wanted += [Wanted(ratio) for ratio in ratios]
    if not wanted:
        raise ValueError("expected at least one of widths, heights and ratios")
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers must be an integer, not {workers!r}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if on_error is not None and not callable(on_error):
        raise TypeError(f"on_error must be callable with an image and an error, not {on_error!r}")
    if session.in_transaction():
        raise ValueError("expected a session without a transaction; commit it or roll it back before")
    maker = _Maker(session, find_store(store), wanted, only_missing)
    return _run(_Run(maker, on_error), mappers, keys, workers, Checkpoint(checkpoint))


class _Job(NamedTuple):
    """An original, and what has to be made of it."""

    original: Image
    key: FileKey
    wanted: Sequence[Wanted]
    policy: ImagePolicy


class _Done(NamedTuple):
    """What was made of an original, and is in no store yet."""

    job: _Job
    made: list[tuple[Wanted, Incoming]]
    #: Why some sizes of it are not made.
    refused: list[InvalidImageError]


class _Set(NamedTuple):
    """An original with all images of its image set, in a session."""

    original: Image
    home: BaseImageQuery[Any]
    place: Place

    def images(self) -> Sequence[Image]:
        return self.home._matching(**dict(self.place.values))


class _Maker:
    def __init__(self, session: Session, store: Store, wanted: Sequence[Wanted], only_missing: bool) -> None:
        self.session = session
        self.store = store
        self.wanted = wanted
        self.only_missing = only_missing

    def jobs(self, mapper: Mapper[Any], keys: KeyRange) -> Iterator[_Job]:
        """Find out what has to be made."""
        with self._own_session(mapper) as own:
            for batch in batches(own, mapper, keys, originals=True):
                for start in range(0, len(batch), _LOOK_AT):
                    originals = batch[start : start + _LOOK_AT]
                    with reading(own):
                        sets = _sets(own, mapper, originals)
                        jobs = [self._job(original, sets.get(inspect(original).identity)) for original in originals]
                    yield from jobs
                own.expunge_all()

    def make(self, job: _Job) -> _Done:
        """Decode an original, in any thread."""
        done = _Done(job, [], [])
        if not job.wanted:
            return done
        # A key has what a store asks of an image.
        with self.store.open(cast("Image", job.key), use_seek=True) as source:
            # One file for all sizes, which is at its beginning after each.
            open_again = cast("Callable[[], IO[bytes]]", partial(nullcontext, source))
            for wanted in job.wanted:
                try:
                    resized = make(open_again, wanted, job.policy)
                except InvalidImageError as error:
                    if error.reason != "target_too_large":
                        raise
                    done.refused.append(error)
                    continue
                with resized.file:
                    attachment = Attachment.of_file(self.store, resized.file, 2**63)
                incoming = Incoming(attachment, (resized.width, resized.height), resized.mimetype)
                done.made.append((wanted, incoming))
        return done

    def commit(self, mapper: Mapper[Any], done: Sequence[_Done]) -> list[list[Image]]:
        """Store what was made of some originals, and insert their rows, in one transaction."""
        if not any(each.made for each in done):
            return [[] for _ in done]
        with self._own_session(mapper) as own:
            sets = _sets(own, mapper, [each.job.original for each in done if each.made])
            made = [self._attach(sets.get(inspect(each.job.original).identity), each) for each in done]
            own.commit()
        return made

    def is_outdated(self, mapper: Mapper[Any], job: _Job) -> bool:
        """Whether an original was deleted or replaced since it was read."""
        with self._own_session(mapper) as own:
            original = own.get(mapper, inspect(job.original).identity)
            return original is None or FileKey.of(original) != job.key

    def _own_session(self, mapper: Mapper[Any]) -> Session:
        info = {**self.session.info, INFO_KEY: self.store}
        return Session(self.session.get_bind(mapper), expire_on_commit=False, info=info)

    def _job(self, original: Image, found: _Set | None) -> _Job:
        missing: dict[tuple[int, int], Wanted] = {}
        if found is not None:
            images = found.images()
            for wanted in self.wanted:
                made = find_made(original, images, wanted)
                if made is None or not (self.only_missing or made.original):
                    # Two may come to the same size.
                    missing.setdefault(wanted.of(original.size), wanted)
        policy = None if found is None else found.place.relationship.info.get(POLICY_KEY)
        return _Job(original, FileKey.of(original), list(missing.values()), policy or ImagePolicy())

    def _attach(self, found: _Set | None, done: _Done) -> list[Image]:
        if found is None or FileKey.of(found.original) != done.job.key:
            return []
        attached = (self._attach_one(found, wanted, incoming) for wanted, incoming in done.made)
        return [image for image in attached if image is not None]

    def _attach_one(self, found: _Set, wanted: Wanted, incoming: Incoming) -> Image | None:
        original, home, place = found
        current = claim(original, place, incoming.size)
        if current is not None:
            if self.only_missing or current.original:
                return None
            if current not in home:
                home.append(current)
        former = find_made(original, found.images(), wanted)
        image: Image = insert(home, dict(place.values), incoming, False, inherited=inherited(original))
        if former is not None and not former.original and former.size != image.size:
            # What the original library made of the same wish is a pixel smaller.
            remember_store(former, self.store)
            home.remove(former)
        return image


class _Run:
    """One time through all originals, which tells what failed."""

    def __init__(self, maker: _Maker, on_error: Callable[[Image, Exception], object] | None) -> None:
        self.maker = maker
        self.on_error = on_error

    def groups(self, mapper: Mapper[Any], keys: KeyRange, workers: int) -> Generator[list[_Done]]:
        """Decode originals, and give some at once that are to be committed together."""
        jobs = self.maker.jobs(mapper, keys)
        group: list[_Done] = []
        began_at = time.monotonic()
        with closing(side_by_side(self.maker.make, jobs, workers)) as outcomes:
            for job, done, error in outcomes:
                if error is not None and not (isinstance(error, OSError) and self.maker.is_outdated(mapper, job)):
                    self._fail(job, error)
                for refused in done.refused if done is not None else ():
                    self._fail(job, refused)
                group.append(done or _Done(job, [], []))
                count = sum(len(each.made) for each in group)
                if count >= _COMMIT_AT or len(group) >= _LOOK_AT or time.monotonic() - began_at >= _COMMIT_AFTER:
                    yield group
                    group, began_at = [], time.monotonic()
        if group:
            yield group

    def commit(self, mapper: Mapper[Any], group: Sequence[_Done]) -> list[list[Image]]:
        """Commit a group, or else one by one what can be."""
        try:
            return self.maker.commit(mapper, group)
        except (OSError, ValueError, IntegrityError) as error:
            if len(group) > 1:
                # Nothing of it is there. One by one, it shows which original it is about.
                return [made for each in group for made in self.commit(mapper, [each])]
            if not self.maker.is_outdated(mapper, group[0].job):
                self._fail(group[0].job, error)
            return [[]]

    def _fail(self, job: _Job, error: Exception) -> None:
        error.add_note(f"making thumbnails of {tuple(job.key)} in {self.maker.store!r}")
        if self.on_error is None:
            raise error
        self.on_error(job.original, error)


def _run(
    run: _Run, mappers: Sequence[Mapper[Any]], keys: KeyRange, workers: int, checkpoint: Checkpoint
) -> Iterator[Made]:
    with checkpoint:
        # All of it is looked at before anything is made.
        places = [checkpoint.get(mapper) for mapper in mappers]
        for mapper, done in zip(mappers, places, strict=True):
            left = keys if done is None else keys._replace(after=done)
            with closing(run.groups(mapper, left, workers)) as groups:
                for group in groups:
                    made = run.commit(mapper, group)
                    checkpoint.set(mapper, group[-1].job.original)
                    for each, thumbnails in zip(group, made, strict=True):
                        yield Made(each.job.original, thumbnails)


def _sets(session: Session, mapper: Mapper[Any], originals: Sequence[Image]) -> dict[tuple[Any, ...], _Set]:
    """Load the image sets of some originals, and their owners: two queries for each attribute that has such images."""
    found: dict[tuple[Any, ...], _Set] = {}
    for relationship in _relationships(mapper):
        cls = relationship.mapper.class_
        left = [image for image in originals if isinstance(image, cls) and inspect(image).identity not in found]
        if left:
            found |= _sets_of(session, relationship, left)
    return found


def _sets_of(
    session: Session, relationship: RelationshipProperty[Any], originals: Sequence[Image]
) -> dict[tuple[Any, ...], _Set]:
    mapper, owner_class = relationship.mapper, relationship.parent.class_
    columns = [mapper.get_property_by_column(column).class_attribute for column in mapper.primary_key]
    statement = select(mapper, owner_class).select_from(owner_class).join(relationship.class_attribute)
    statement = statement.where(_any_of(columns, [inspect(image).identity for image in originals]))
    pairs = session.execute(statement.options(lazyload("*"))).all()
    names = mapper.class_.identity_attributes()
    keys = {tuple(getattr(image, name) for name in names): owner for image, owner in pairs}
    if not keys:
        return {}
    if relationship.lazy != "dynamic":
        # Just the image sets that are asked about: an album may have a million others.
        members: dict[Any, list[Any]] = {owner: [] for owner in keys.values()}
        criterion = _any_of([getattr(mapper.class_, name) for name in names], list(keys))
        for image in session.scalars(select(mapper).where(criterion).options(lazyload("*"))):
            members[keys[tuple(getattr(image, name) for name in names)]].append(image)
        for owner, images in members.items():
            set_committed_value(owner, relationship.key, images)
    return {inspect(image).identity: _set_of(image, owner, relationship) for image, owner in pairs}


def _set_of(original: Any, owner: Any, relationship: RelationshipProperty[Any]) -> _Set:
    home: Any = getattr(owner, relationship.key)
    values = {}
    if isinstance(home, MultipleImageSet):
        names, known = home._keys()
        values = {name: getattr(original, name) for name in names if name not in known}
    return _Set(original, home, Place(owner, relationship, tuple(values.items())))


def _relationships(mapper: Mapper[Any]) -> Iterator[RelationshipProperty[Any]]:
    """The attributes that images of a class, or of one that inherits it, are attached to."""
    for other in mapper.registry.mappers:
        for relationship in other.relationships:
            kind = relationship.query_class if relationship.lazy == "dynamic" else relationship.collection_class
            is_image_set = isinstance(kind, type) and issubclass(kind, BaseImageQuery)
            # What is inherited is a relationship of its own.
            if is_image_set and relationship.parent is other and relationship.mapper.base_mapper is mapper.base_mapper:
                yield relationship


def _any_of(columns: Sequence[Any], keys: Sequence[Sequence[Any]]) -> Any:
    """Rows with one of some keys, so spelled that every database uses the index."""
    return or_(*(and_(*map(operator.eq, columns, key)) for key in keys))
