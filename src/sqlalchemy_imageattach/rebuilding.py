"""Making sizes of all originals that there are.

::

    for original, thumbnails in make_thumbnails(session, Base, store, widths=[150, 600], only_missing=True):
        print(original.object_id, [thumbnail.size for thumbnail in thumbnails])

Presets of variants may be among the sizes: files without rows, which a page would have made when it is first seen.
Originals are read in the order of their keys; they are decoded in threads, with no transaction open; then some at once
are attached and committed.  It must always be true that

- memory does not grow with the number of images, nor the number of queries with that of images that have all sizes;
- rows are locked for no longer than it takes to store what was made: decoding is over by then;
- what was made of an original that was replaced meanwhile is thrown away;
- an image that cannot be decoded or stored keeps no other from being made;
- a checkpoint never says more than what was committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from functools import partial
from os import PathLike
from typing import Any, NamedTuple, cast

from sqlalchemy import not_, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapper, Session, object_session

from .bulk.arguments import check_callback, check_one_database, check_workers, mappers_of, sessions_of
from .bulk.batches import ImageRow, again_if_closed, batches, bind_of, in_session, read_again, reading
from .bulk.checkpoint import Checkpoint, store_name
from .bulk.image_sets import WholeSet, whole_sets
from .bulk.keys import ALL_KEYS, KeyRange, check_keys
from .bulk.stretches import Stretch, job_of, log_passed_over, stretches
from .concurrency import side_by_side
from .entity import Image
from .entity.attaching import Incoming, insert_image
from .entity.thumbnails import WantedSize, find_made, inherited_values, lock_and_find, make_from, open_original
from .entity.variants import check_presets, prepare_presets
from .exc import InvalidImageError
from .imaging import ImagePolicy
from .naming import FileKey, StorableImage
from .store import Store
from .transactions.info_keys import INFO_KEY, POLICY_KEY
from .transactions.pending import PendingFile
from .transactions.which_store import find_store, remember_store
from .variants import Variant

__all__ = ("Made", "drop_thumbnails", "make_thumbnails", "thumbnails_job")

# How many originals are looked at together, and how many thumbnails are committed together, unless it takes longer than
# so many seconds to make them.
_LOOK_AT = 100
_COMMIT_AT = 50
_COMMIT_AFTER = 1.0


class _Thumbnails(NamedTuple):
    original: Image
    thumbnails: list[Image]


class Made(_Thumbnails):
    """What was made of an original, and is committed; empty where nothing had to be, or could be made.

    It is unpacked as the original and its thumbnails.
    """

    #: The presets that were made of it.
    variants: Sequence[Variant] = ()


def make_thumbnails(
    session: Session | Sequence[Session],
    declarative_base: Any,
    store: Store,
    *,
    widths: Collection[int] = (),
    heights: Collection[int] = (),
    ratios: Collection[float] = (),
    presets: Collection[str] = (),
    only_missing: bool = False,
    keys: KeyRange = ALL_KEYS,
    workers: int = 1,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
) -> Iterator[Made]:
    """Make sizes of the originals of all images: anew, or those that are missing.

    Each thumbnail is what :meth:`~.BaseImageSet.generate_thumbnail` would make.  One that is made anew has a name of
    its own, and replaces the former one when it is committed.

    :param session: the session to read rows with, or a list of sessions; it must have no transaction open.  Thumbnails
        are committed by sessions of their own.
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store that has the originals and gets the thumbnails
    :param widths: pixels, a thumbnail of each
    :param heights: pixels, a thumbnail of each
    :param ratios: how many times the original's width and height, a thumbnail of each
    :param presets: names of ``image_attachment(variants=…)``; a variant of each, but of those that are there: one that
        would be made in another way has another name
    :param only_missing: whether thumbnails that are there already are left as they are
    :param keys: which rows, if it is one image class; :func:`~.bulk.key_ranges` splits it, for several processes
    :param workers: how many originals are decoded side by side
    :param checkpoint: where to note how far this has come, and where the next time goes on: a mapping, or the path of a
        file, as for :func:`~.migration.migrate`
    :param on_error: called with an original and the error, when a size of it could not be made; the others are made
        then.  Without it, the first error is raised.
    :returns: an iterator over all originals, in the order of their keys; nothing is done before it is asked
    :raises TypeError: when an argument is of another type
    :raises ValueError: when no size is asked for, a number is not positive, no class has a preset of a name, the store
        makes no variants, or the session has a transaction open

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> session.commit()
    >>> [[thumbnail.size for thumbnail in made.thumbnails]
    ...  for made in make_thumbnails(session, Base, store, widths=[150, 32])]
    [[(150, 113), (32, 24)]]
    """
    mappers = mappers_of(declarative_base)
    sessions = sessions_of(session, mappers)
    for mapper in mappers:
        check_keys(mapper, keys)
    check_one_database(sessions, keys)
    sizes = _sizes(widths, heights, ratios, presets)
    check_workers(workers)
    check_callback("on_error", on_error, "an image and an error")
    _check_no_transaction(sessions)
    store = find_store(store)
    check_presets(mappers, store, presets)
    job = thumbnails_job(sessions, mappers, keys, store, widths, heights, ratios, presets)
    run = _Run(store, sizes, presets, only_missing, workers, Checkpoint(checkpoint, job), on_error)
    return run.all(sessions, mappers, keys)


def drop_thumbnails(
    session: Session | Sequence[Session],
    declarative_base: Any,
    store: Store,
    *,
    widths: Collection[int] = (),
    heights: Collection[int] = (),
) -> int:
    """Delete the thumbnails of a size that is not needed any more, of all images.

    The rows are deleted a hundred at a time, and their files after each commit.  Originals stay, whatever their size.
    What a template still asks for is made again.

    :param session: the session to read rows with, or a list of sessions; it must have no transaction open.  Thumbnails
        are deleted by sessions of their own.
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store that has the thumbnails
    :param widths: pixels; thumbnails that are as wide as one of these
    :param heights: pixels; thumbnails that are as high as one of these
    :returns: how many were deleted
    :raises TypeError: when an argument is of another type
    :raises ValueError: when no size is given, a number is not positive, or the session has a transaction open

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> _ = user.picture.generate_thumbnail(width=80, store=store)
    >>> session.commit()
    >>> drop_thumbnails(session, Base, store, widths=[80])
    1
    """
    mappers = mappers_of(declarative_base)
    sessions = sessions_of(session, mappers)
    _sizes(widths, heights, ())
    _check_no_transaction(sessions)
    store = find_store(store)
    dropped = 0
    for each in sessions:
        for mapper in mappers:
            columns = mapper.columns
            has_size = or_(columns["width"].in_(list(widths)), columns["height"].in_(list(heights)))
            for batch in batches(each, mapper, ALL_KEYS, not_(columns["original"]), has_size):
                for start in range(0, len(batch), _LOOK_AT):
                    drop = partial(_drop, each, mapper, store, batch[start : start + _LOOK_AT])
                    dropped += again_if_closed(drop)
    return dropped


def thumbnails_job(
    sessions: Sequence[Session],
    mappers: Sequence[Mapper[Any]],
    keys: KeyRange,
    store: Store,
    widths: Collection[int],
    heights: Collection[int],
    ratios: Collection[float],
    presets: Collection[str] = (),
) -> Mapping[str, Any]:
    """Say what is made, for its checkpoint.

    :param sessions: the databases
    :param mappers: the image classes
    :param keys: which rows
    :param store: the store
    :param widths: pixels
    :param heights: pixels
    :param ratios: how many times an original's width and height
    :param presets: names
    :returns: the same as JSON
    """
    sizes: dict[str, Any] = {"widths": list(widths), "heights": list(heights), "ratios": list(ratios)}
    if presets:
        sizes["presets"] = list(presets)
    return job_of("thumbnails", sessions, mappers, keys, store=store_name(store), **sizes)


def _sizes(
    widths: Collection[int], heights: Collection[int], ratios: Collection[float], presets: Collection[str] = ()
) -> list[WantedSize]:
    sizes = [WantedSize(width=width) for width in widths]
    sizes += [WantedSize(height=height) for height in heights]
    sizes += [WantedSize(ratio) for ratio in ratios]
    if not sizes and not presets:
        raise ValueError("expected at least one size, got none; give widths, heights or ratios")
    return sizes


def _check_no_transaction(sessions: Sequence[Session]) -> None:
    if any(session.in_transaction() for session in sessions):
        raise ValueError("expected a session without a transaction; commit it or roll it back before")


def _own_session(session: Session, mapper: Mapper[Any], store: Store) -> Session:
    info = {**session.info, INFO_KEY: store}
    return Session(bind_of(session, mapper), expire_on_commit=False, info=info)


def _drop(session: Session, mapper: Mapper[Any], store: Store, rows: Sequence[ImageRow]) -> int:
    with _own_session(session, mapper, store) as own:
        for row in rows:
            own.delete(in_session(own, row.image))
        own.commit()
    return len(rows)


class _Job(NamedTuple):
    """An original, and what has to be made of it."""

    row: ImageRow
    sizes: Sequence[WantedSize]
    policy: ImagePolicy


class _Done(NamedTuple):
    """What was made of an original, and is in no store yet."""

    job: _Job
    made: list[tuple[WantedSize, Incoming]]
    #: The presets that were made of it; they have no rows, and are in the store.
    variants: list[Variant]
    #: Why some sizes of it are not made.
    refused: list[InvalidImageError]


class _Maker:
    """Makes the thumbnails of one class in one database."""

    def __init__(
        self,
        stretch: Stretch,
        store: Store,
        sizes: Sequence[WantedSize],
        presets: Collection[str],
        only_missing: bool,
    ) -> None:
        self.stretch = stretch
        self.store = store
        self.sizes = sizes
        self.presets = presets
        # What came behind a checkpoint may have been done before.
        self.only_missing = only_missing or stretch.is_late

    def jobs(self) -> Iterator[_Job]:
        """Find out what has to be made."""
        session, mapper, keys, criteria, *_ = self.stretch
        for batch in batches(session, mapper, keys, *criteria):
            for start in range(0, len(batch), _LOOK_AT):
                yield from again_if_closed(partial(self._jobs, batch[start : start + _LOOK_AT]))

    def make(self, job: _Job) -> _Done:
        """Decode an original, in any thread."""
        if job.row.key is None or job.row.error is not None:
            assert job.row.error is not None
            raise job.row.error
        done = _Done(job, [], prepare_presets(job.row.image, self.store, self.presets), [])
        if not job.sizes:
            return done
        # A key has what a store asks of an image.
        open_source = partial(self.store.open, cast("StorableImage", job.row.key), use_seek=True)
        with open_original(open_source, job.policy) as picture:
            for size in job.sizes:
                try:
                    resized = make_from(picture, size)
                except InvalidImageError as error:
                    if error.reason != "target_too_large":
                        raise
                    done.refused.append(error)
                    continue
                with resized.file:
                    attachment = PendingFile.of_file(self.store, resized.file, 2**63)
                incoming = Incoming(attachment, (resized.width, resized.height), resized.mimetype)
                done.made.append((size, incoming))
        return done

    def commit(self, done: Sequence[_Done]) -> list[list[Image]]:
        """Store what was made of some originals, and insert their rows, in one transaction."""
        if not any(each.made for each in done):
            return [[] for _ in done]
        return again_if_closed(partial(self._commit, done))

    def is_outdated(self, job: _Job) -> bool:
        """Whether an original was deleted or replaced since it was read."""
        found = read_again(self.stretch.session, self.stretch.mapper, job.row.identity)
        return found is None or found.key != job.row.key

    def _jobs(self, rows: Sequence[ImageRow]) -> list[_Job]:
        mapper = self.stretch.mapper
        with _own_session(self.stretch.session, mapper, self.store) as own, reading(own):
            sets = whole_sets(own, mapper, [row.image for row in rows])
            return [self._job(row, sets.get(row.identity)) for row in rows]

    def _job(self, row: ImageRow, found: WholeSet | None) -> _Job:
        missing: dict[tuple[int, int], WantedSize] = {}
        if found is not None:
            for size in self.sizes:
                made = find_made(row.image, found.images, size)
                if made is None or not (self.only_missing or made.original):
                    # Two may come to the same size.
                    missing.setdefault(size.of(row.image.size), size)
        policy = None if found is None else found.place.relationship.info.get(POLICY_KEY)
        return _Job(row, list(missing.values()), policy or ImagePolicy())

    def _commit(self, done: Sequence[_Done]) -> list[list[Image]]:
        mapper = self.stretch.mapper
        with _own_session(self.stretch.session, mapper, self.store) as own:
            sets = whole_sets(own, mapper, [each.job.row.image for each in done if each.made])
            made = [self._attach(sets.get(each.job.row.identity), each) for each in done]
            own.commit()
        return made

    def _attach(self, found: WholeSet | None, done: _Done) -> list[Image]:
        if found is None or FileKey.of(found.original) != done.job.row.key:  # pyright: ignore[reportArgumentType]
            return []
        attached = (self._attach_one(found, size, incoming) for size, incoming in done.made)
        return [image for image in attached if image is not None]

    def _attach_one(self, found: WholeSet, size: WantedSize, incoming: Incoming) -> Image | None:
        original, images, home, place = found
        current = lock_and_find(original, place, incoming.size)
        if current is not None:
            if self.only_missing or current.original:
                return None
            if current not in home:
                # The attribute does not know it: another transaction has just made it, or a filter hides it.
                remember_store(current, self.store)
                cast("Session", object_session(current)).delete(current)
        former = find_made(original, images, size)
        image: Image = insert_image(home, dict(place.values), incoming, False, inherited=inherited_values(original))
        if former is not None and not former.original and former.size != image.size:
            # What the original library made of the same wish is a pixel smaller.
            remember_store(former, self.store)
            home.remove(former)
        return image


class _Run:
    """One time through all originals, which tells what failed."""

    def __init__(
        self,
        store: Store,
        sizes: Sequence[WantedSize],
        presets: Collection[str],
        only_missing: bool,
        workers: int,
        checkpoint: Checkpoint,
        on_error: Callable[[Image, Exception], object] | None,
    ) -> None:
        self.store = store
        self.sizes = sizes
        self.presets = presets
        self.only_missing = only_missing
        self.workers = workers
        self.checkpoint = checkpoint
        self.on_error = on_error

    def all(self, sessions: Sequence[Session], mappers: Sequence[Mapper[Any]], keys: KeyRange) -> Iterator[Made]:
        """Make the thumbnails of all originals, and give what was committed."""
        with self.checkpoint as checkpoint:
            # All of it is looked at before anything is made.
            ahead = stretches(sessions, mappers, keys, checkpoint, originals=True)
            log_passed_over(ahead, checkpoint)
            for stretch in ahead:
                maker = _Maker(stretch, self.store, self.sizes, self.presets, self.only_missing)
                with closing(self.groups(maker)) as groups:
                    for group in groups:
                        made = self.commit(maker, group)
                        if not stretch.is_late:
                            checkpoint.set(stretch.mapper, group[-1].job.row.identity, stretch.number)
                        for each, thumbnails in zip(group, made, strict=True):
                            if thumbnails or each.variants or not stretch.is_late:
                                outcome = Made(each.job.row.image, thumbnails)
                                outcome.variants = each.variants
                                yield outcome
            checkpoint.finish()

    def groups(self, maker: _Maker) -> Generator[list[_Done]]:
        """Decode originals, and give some at once that are to be committed together."""
        group: list[_Done] = []
        began_at = time.monotonic()
        with closing(side_by_side(maker.make, maker.jobs(), self.workers)) as outcomes:
            for job, done, error in outcomes:
                if error is not None and not (isinstance(error, OSError) and maker.is_outdated(job)):
                    self.fail(job, error)
                for refused in done.refused if done is not None else ():
                    self.fail(job, refused)
                group.append(done or _Done(job, [], [], []))
                count = sum(len(each.made) for each in group)
                if count >= _COMMIT_AT or len(group) >= _LOOK_AT or time.monotonic() - began_at >= _COMMIT_AFTER:
                    yield group
                    group, began_at = [], time.monotonic()
        if group:
            yield group

    def commit(self, maker: _Maker, group: Sequence[_Done]) -> list[list[Image]]:
        """Commit a group, or else one by one what can be."""
        try:
            return maker.commit(group)
        except (OSError, ValueError, IntegrityError) as error:
            if len(group) > 1:
                # Nothing of it is there. One by one, it shows which original it is about.
                return [made for each in group for made in self.commit(maker, [each])]
            if not maker.is_outdated(group[0].job):
                self.fail(group[0].job, error)
            return [[]]

    def fail(self, job: _Job, error: Exception) -> None:
        name = job.row.identity if job.row.key is None else tuple(job.row.key)
        error.add_note(f"making thumbnails of {name} in {self.store!r}")
        if self.on_error is None:
            raise error
        self.on_error(job.row.image, error)
