"""Going over all originals, and committing what was made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from os import PathLike
from typing import Any, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapper, Session, scoped_session

from ...concurrency import side_by_side
from ...entity import Image
from ...entity.thumbnails import WantedSize
from ...entity.variants import check_presets
from ...store import Store
from ...transactions.which_store import find_store
from ...variants import Variant
from ..arguments import check_callback, check_one_database, check_workers, mappers_of, sessions_of
from ..checkpoint import Checkpoint, store_name
from ..keys import ALL_KEYS, KeyRange, check_keys
from ..stretches import job_of, log_passed_over, stretches
from .arguments import check_no_transaction, sizes_of
from .maker import LOOK_AT, Done, Job, Maker

__all__ = ("Made", "make_thumbnails", "thumbnails_job")

# How many thumbnails are committed together, unless it takes longer than so many seconds to make them.
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
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
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
    sizes = sizes_of(widths, heights, ratios, presets)
    check_workers(workers)
    check_callback("on_error", on_error, "an image and an error")
    check_no_transaction(sessions)
    store = find_store(store)
    check_presets(mappers, store, presets)
    job = thumbnails_job(sessions, mappers, keys, store, widths, heights, ratios, presets)
    run = _Run(store, sizes, presets, only_missing, workers, Checkpoint(checkpoint, job), on_error)
    return run.all(sessions, mappers, keys)


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
                maker = Maker(stretch, self.store, self.sizes, self.presets, self.only_missing)
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

    def groups(self, maker: Maker) -> Generator[list[Done]]:
        """Decode originals, and give some at once that are to be committed together."""
        group: list[Done] = []
        began_at = time.monotonic()
        with closing(side_by_side(maker.make, maker.jobs(), self.workers)) as outcomes:
            for job, done, error in outcomes:
                if error is not None and not (isinstance(error, OSError) and maker.is_outdated(job)):
                    self.fail(job, error)
                for refused in done.refused if done is not None else ():
                    self.fail(job, refused)
                group.append(done or Done(job, [], [], []))
                count = sum(len(each.made) for each in group)
                if count >= _COMMIT_AT or len(group) >= LOOK_AT or time.monotonic() - began_at >= _COMMIT_AFTER:
                    yield group
                    group, began_at = [], time.monotonic()
        if group:
            yield group

    def commit(self, maker: Maker, group: Sequence[Done]) -> list[list[Image]]:
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

    def fail(self, job: Job, error: Exception) -> None:
        name = job.row.identity if job.row.key is None else tuple(job.row.key)
        error.add_note(f"making thumbnails of {name} in {self.store!r}")
        if self.on_error is None:
            raise error
        self.on_error(job.row.image, error)
