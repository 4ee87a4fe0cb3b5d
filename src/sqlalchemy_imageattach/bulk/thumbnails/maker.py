"""What is to be made of an original, making it, and attaching what was made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple, cast

from sqlalchemy.orm import Session, object_session

from ...entity import Image
from ...entity.attaching import Incoming, accepted_by, insert_image
from ...entity.thumbnails import WantedSize, find_made, inherited_values, lock_and_find, make_from, open_original
from ...entity.variants import prepare_presets
from ...exc import InvalidImageError
from ...imaging import ImagePolicy
from ...naming import FileKey, StorableImage
from ...store import Store
from ...transactions.pending import PendingFile
from ...transactions.which_store import remember_store
from ...variants import Variant
from ..batches import ImageRow, again_if_closed, batches, read_again, reading
from ..image_sets import WholeSet, whole_sets
from ..stretches import Stretch
from .arguments import own_session

__all__ = ("LOOK_AT", "Done", "Job", "Maker")

#: How many originals are looked at together.
LOOK_AT = 100


class Job(NamedTuple):
    """An original, and what has to be made of it."""

    row: ImageRow
    sizes: Sequence[WantedSize]
    policy: ImagePolicy


class Done(NamedTuple):
    """What was made of an original, and is in no store yet."""

    job: Job
    made: list[tuple[WantedSize, Incoming]]
    #: The presets that were made of it; they have no rows, and are in the store.
    variants: list[Variant]
    #: Why some sizes of it are not made.
    refused: list[InvalidImageError]


class Maker:
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

    def jobs(self) -> Iterator[Job]:
        """Find out what has to be made."""
        session, mapper, keys, criteria, *_ = self.stretch
        for batch in batches(session, mapper, keys, *criteria):
            for start in range(0, len(batch), LOOK_AT):
                yield from again_if_closed(partial(self._jobs, batch[start : start + LOOK_AT]))

    def make(self, job: Job) -> Done:
        """Decode an original, in any thread."""
        if job.row.key is None or job.row.error is not None:
            assert job.row.error is not None
            raise job.row.error
        done = Done(job, [], prepare_presets(job.row.image, self.store, self.presets), [])
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

    def commit(self, done: Sequence[Done]) -> list[list[Image]]:
        """Store what was made of some originals, and insert their rows, in one transaction."""
        if not any(each.made for each in done):
            return [[] for _ in done]
        return again_if_closed(partial(self._commit, done))

    def is_outdated(self, job: Job) -> bool:
        """Whether an original was deleted or replaced since it was read."""
        found = read_again(self.stretch.session, self.stretch.mapper, job.row.identity)
        return found is None or found.key != job.row.key

    def _jobs(self, rows: Sequence[ImageRow]) -> list[Job]:
        mapper = self.stretch.mapper
        with own_session(self.stretch.session, mapper, self.store) as own, reading(own):
            sets = whole_sets(own, mapper, [row.image for row in rows])
            return [self._job(row, sets.get(row.identity)) for row in rows]

    def _job(self, row: ImageRow, found: WholeSet | None) -> Job:
        missing: dict[tuple[int, int], WantedSize] = {}
        if found is not None:
            for size in self.sizes:
                made = find_made(row.image, found.images, size)
                if made is None or not (self.only_missing or made.original):
                    # Two may come to the same size.
                    missing.setdefault(size.of(row.image.size), size)
        policy = ImagePolicy() if found is None else accepted_by(found.place.relationship)
        return Job(row, list(missing.values()), policy)

    def _commit(self, done: Sequence[Done]) -> list[list[Image]]:
        mapper = self.stretch.mapper
        with own_session(self.stretch.session, mapper, self.store) as own:
            sets = whole_sets(own, mapper, [each.job.row.image for each in done if each.made])
            made = [self._attach(sets.get(each.job.row.identity), each) for each in done]
            own.commit()
        return made

    def _attach(self, found: WholeSet | None, done: Done) -> list[Image]:
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
