"""Image sets: an original, and the thumbnails that were made of it.

::

    user.picture                                    SingleImageSet: one original
    album.photos.get_image_set(position=3)          ImageSubset: one of many, see imagesubset

All that one can do with an original and its thumbnails is in :class:`BaseImageSet`; where its images come from is the
business of :class:`~sqlalchemy_imageattach.entity.query.BaseImageQuery`, how one is attached that of
:mod:`~sqlalchemy_imageattach.entity.attaching`, and how another size is made that of
:mod:`~sqlalchemy_imageattach.entity.thumbnails`.  It must always be true that

- what is refused is refused before anything is changed;
- an image set has one original: a new one replaces all that was there, at the next flush;
- what was made once is found again, and not made again.

Each method with an ``a`` in front does the same and is awaited, for :class:`~sqlalchemy.ext.asyncio.AsyncSession`.
"""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, overload

from markupsafe import Markup
from sqlalchemy import inspect
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import object_session

from ..concurrency import call, run
from ..context import current_store
from ..exc import ImageNotFoundError
from ..store import Store
from ..transactions.pending import PendingFile
from ..transactions.rows.instances import connection_for
from ..transactions.rows.locking import has_gap_locks, insert_or_find
from ..transactions.rows.place import ImageSetRef
from ..transactions.which_store import find_store
from .attaching import Incoming, ReadableFile, SeekableFile, accepted_by, insert_image, read_incoming, readable
from .image import Image
from .query import BaseImageQuery, current, matching, place_of
from .thumbnails import WantedSize, find_made, inherited_values, lock_and_find, make, pixels, wanted_size
from .variants import WithVariants

if TYPE_CHECKING:
    from ..imaging import ImagePolicy, Resized
    from ..imaging.picture import ResizeOptions

__all__ = ("BaseImageSet", "ImageSet", "SingleImageSet", "mark_altering")

I = TypeVar("I", bound="Image")  # noqa: E741


class HowToMake(TypedDict, total=False):
    """What :meth:`BaseImageSet.generate_thumbnail` takes beside the size."""

    filter: str | int
    store: Store
    first_frame: bool
    _preprocess_image: Callable[[Any], Any] | None
    _postprocess_image: Callable[[Any], Any] | None


class RatioSize(TypedDict):
    """A size: how many times the original's width and height."""

    ratio: float


class WidthSize(TypedDict):
    """A size: a width in pixels."""

    width: int


class HeightSize(TypedDict):
    """A size: a height in pixels."""

    height: int


class BaseImageSet(WithVariants, Generic[I]):
    """One original, its thumbnails, and what can be done with them."""

    #: What tells the images of this set from others of the same attribute, by attribute names of the image class.
    identity_map: Mapping[str, Any]

    if TYPE_CHECKING:

        @property
        def query(self) -> BaseImageQuery[I]: ...

    # What there is.

    @property
    def original(self) -> I | None:
        """The original image, or ``None`` when there is none yet."""
        originals = [image for image in self._candidates(original=True) if image.original]
        return originals[0] if len(originals) == 1 else max(originals, key=_newness, default=None)

    def require_original(self) -> I:
        """The original image.

        :returns: the original, never ``None``
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is none yet
        """
        original = self.original
        if original is None:
            raise ImageNotFoundError("there is no original image yet; attach one with from_file() or from_blob()")
        return original

    def image_of_variants(self) -> I:
        return self.require_original()

    @property
    def width(self) -> int:
        """The width of the original in pixels; :exc:`.ImageNotFoundError` when there is none."""
        return self.require_original().width

    @property
    def height(self) -> int:
        """The height of the original in pixels; :exc:`.ImageNotFoundError` when there is none."""
        return self.require_original().height

    def find_thumbnail(self, width: int | None = None, height: int | None = None, store: Store = current_store) -> I:
        """Find the image of a width, a height, or both.  The original is found too, if that is its size.

        :param width: pixels
        :param height: pixels
        :param store: taken for symmetry with the other methods; finding asks no store
        :returns: the image; of several, the one nearest in shape to the original
        :raises ~sqlalchemy.orm.exc.NoResultFound: when there is none
        :raises TypeError: when neither width nor height is given, or one is no integer
        :raises ValueError: when one is not positive
        """
        wanted = {}
        if width is not None:
            wanted["width"] = pixels("width", width)
        if height is not None:
            wanted["height"] = pixels("height", height)
        if not wanted:
            raise TypeError("expected a width, a height or both")
        found = self._candidates(**wanted)
        if not found:
            size = " and ".join(f"{name} {value!r}" for name, value in wanted.items())
            raise NoResultFound(f"there is no image of {size}; make one with generate_thumbnail()")
        if len(found) == 1:
            return found[0]
        original = self.original
        if original is None:
            return max(found, key=_newness)
        shape = math.log(original.width / original.height)
        return min(found, key=lambda image: abs(math.log(image.width / image.height) - shape))

    # Attaching.

    def from_file(
        self,
        file: ReadableFile,
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach the image in a file as the original, in place of all that was here before.

        :param file: a readable binary file, or an upload; read from where it stands to its end, and left open
        :param store: the store for the image; by default the current one
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``file`` has no ``read``, or is not binary

        >>> user.picture.from_file(photograph, store=store).size
        (640, 480)
        """
        return self._attach(readable(file), store, None, None, True, extra_args, extra_kwargs, policy)

    def from_blob(
        self,
        blob: bytes,
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach the image in a byte string as the original, in place of all that was here before.

        :param blob: the bytes of an image file
        :param store: the store for the image; by default the current one
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``blob`` is no byte string

        >>> user.picture.from_blob(photograph.read(), store=store).mimetype
        'image/jpeg'
        """
        if not isinstance(blob, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected the bytes of an image, not {type(blob).__name__}")
        return self._attach(bytes(blob), store, None, None, True, extra_args, extra_kwargs, policy)

    def from_raw_file(
        self,
        raw_file: SeekableFile,
        store: Store = current_store,
        size: tuple[int, int] | None = None,
        mimetype: str | None = None,
        original: bool = True,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach a file of which size and type may be known already, as the original or as a thumbnail.

        :param raw_file: a readable and seekable binary file; read from its beginning, left open where it stood
        :param store: the store for the image; by default the current one
        :param size: width and height in pixels; read from the file's header if omitted
        :param mimetype: its type; told by the file's bytes if omitted. With both given, the file is not looked into.
        :param original: false for a thumbnail
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``raw_file`` cannot be read or sought
        :raises ValueError: when the store has no name for files of this type, and when a thumbnail has the original's
            size

        >>> user.picture.from_raw_file(photograph, store, size=(2, 1), mimetype='image/png').size
        (2, 1)
        """
        file = readable(raw_file)
        for method in ("seek", "tell"):
            if not hasattr(file, method):
                raise TypeError(f"expected a readable and seekable file, and {raw_file!r} has no {method}()")
        position = file.tell()
        file.seek(0)
        try:
            return self._attach(file, store, size, mimetype, original, extra_args, extra_kwargs, policy)
        finally:
            file.seek(position)

    # Making other sizes.

    @overload
    def generate_thumbnail(
        self, ratio: float, width: None = None, height: None = None, **how: Unpack[HowToMake]
    ) -> I: ...

    @overload
    def generate_thumbnail(
        self, ratio: None = None, *, width: int, height: None = None, **how: Unpack[HowToMake]
    ) -> I: ...

    @overload
    def generate_thumbnail(
        self, ratio: None = None, width: None = None, *, height: int, **how: Unpack[HowToMake]
    ) -> I: ...

    def generate_thumbnail(
        self,
        ratio: float | None = None,
        width: int | None = None,
        height: int | None = None,
        filter: str | int = "undefined",
        store: Store = current_store,
        _preprocess_image: Callable[[Any], Any] | None = None,
        _postprocess_image: Callable[[Any], Any] | None = None,
        *,
        first_frame: bool = False,
    ) -> I:
        """Make another size of the original, larger ones too; the size that is there already is found, not made.

        Give one of ratio, width and height.  What is not given follows from the original's shape, rounded to the
        nearest pixel, halves up, and is at least 1.  Vector images become PNG; animations stay animated where the type
        can.

        :param ratio: how many times the original's width and height
        :param width: pixels
        :param height: pixels
        :param filter: one of the names in ``wand.image.FILTER_TYPES``, or its index there
        :param store: the store that has the original and gets the thumbnail; by default the current one
        :param _preprocess_image: takes and returns the ``pyvips.Image`` before it is resized
        :param _postprocess_image: takes and returns the ``pyvips.Image`` after it was resized
        :param first_frame: whether to make a still of an animation
        :returns: the thumbnail; its row and file are written by the next flush
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet, or the store does not have it
        :raises InvalidImageError: (a :exc:`ValueError`) when the size asked for is too large, or the original damaged
        :raises ValueError: for a size that is not positive and finite, and an unknown filter
        :raises TypeError: for no size, for two, and for sizes that are no numbers

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> user.picture.generate_thumbnail(width=150, store=store).size
        (150, 113)
        """
        (image,) = self._find_or_make(
            [WantedSize(ratio, width, height)],
            store,
            filter=filter,
            first_frame=first_frame,
            preprocess=_preprocess_image,
            postprocess=_postprocess_image,
        )
        return image

    def generate_thumbnails(
        self,
        sizes: Iterable[RatioSize | WidthSize | HeightSize],
        *,
        filter: str | int = "undefined",
        store: Store = current_store,
        first_frame: bool = False,
    ) -> list[I]:
        """Make several sizes of the original, whose file is opened once; those that are there already are found.

        Nothing is attached unless all can be made.

        :param sizes: mappings with one of ratio, width and height each, as :meth:`generate_thumbnail` takes them
        :param filter: one of the names in ``wand.image.FILTER_TYPES``, or its index there
        :param store: the store that has the original and gets the thumbnails; by default the current one
        :param first_frame: whether to make stills of an animation
        :returns: an image of each size, in that order; the same one for equal sizes
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet, or the store does not have it
        :raises InvalidImageError: (a :exc:`ValueError`) when a size is too large, or the original damaged
        :raises ValueError: for a size that is not positive and finite, and an unknown filter
        :raises TypeError: for a mapping of no size, of two, or of other keys, and for sizes that are no numbers

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> [image.size for image in user.picture.generate_thumbnails([{"width": 150}, {"ratio": 0.1}], store=store)]
        [(150, 113), (64, 48)]
        """
        wanted = [wanted_size(size) for size in sizes]
        return self._find_or_make(wanted, store, filter=filter, first_frame=first_frame)

    # What an original can do, for short.

    def open_file(self, store: Store = current_store, use_seek: bool = False) -> IO[bytes]:
        """Open the file of the original.

        :param store: the store that has it; by default the current one
        :param use_seek: whether the file has to be seekable
        :returns: a readable binary file, which the caller closes; also a context manager
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().open_file(store, use_seek)

    def make_blob(self, store: Store = current_store) -> bytes:
        """Read the bytes of the original.

        :param store: the store that has it; by default the current one
        :returns: its bytes
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().make_blob(store)

    def locate(self, store: Store = current_store) -> str:
        """The URL of the original.

        :param store: the store that has it; by default the current one
        :returns: the URL
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().locate(store)

    def img(self, **attributes: Any) -> Markup:
        """The original as an ``<img>`` element: see :meth:`.Image.img`.

        :param attributes: HTML attributes
        :returns: the element; nothing when there is no original
        """
        original = self.original
        return Markup() if original is None else original.img(**attributes)

    def __html__(self) -> str:
        original = self.original
        return "" if original is None else original.__html__()

    # The same, awaited.

    async def afrom_file(
        self,
        file: ReadableFile,
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Await :meth:`from_file`."""
        return await run(self.from_file, file, store, extra_args, extra_kwargs, policy=policy)

    async def afrom_blob(
        self,
        blob: bytes,
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Await :meth:`from_blob`."""
        return await run(self.from_blob, blob, store, extra_args, extra_kwargs, policy=policy)

    async def afrom_raw_file(
        self,
        raw_file: SeekableFile,
        store: Store = current_store,
        size: tuple[int, int] | None = None,
        mimetype: str | None = None,
        original: bool = True,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Await :meth:`from_raw_file`."""
        arguments = raw_file, store, size, mimetype, original, extra_args, extra_kwargs
        return await run(self.from_raw_file, *arguments, policy=policy)

    @overload
    async def agenerate_thumbnail(
        self, ratio: float, width: None = None, height: None = None, **how: Unpack[HowToMake]
    ) -> I: ...

    @overload
    async def agenerate_thumbnail(
        self, ratio: None = None, *, width: int, height: None = None, **how: Unpack[HowToMake]
    ) -> I: ...

    @overload
    async def agenerate_thumbnail(
        self, ratio: None = None, width: None = None, *, height: int, **how: Unpack[HowToMake]
    ) -> I: ...

    async def agenerate_thumbnail(
        self, ratio: float | None = None, width: int | None = None, height: int | None = None, **how: Unpack[HowToMake]
    ) -> I:
        """Await :meth:`generate_thumbnail`."""
        make_thumbnail: Callable[..., I] = self.generate_thumbnail
        return await run(make_thumbnail, ratio, width, height, **how)

    async def agenerate_thumbnails(
        self,
        sizes: Iterable[RatioSize | WidthSize | HeightSize],
        *,
        filter: str | int = "undefined",
        store: Store = current_store,
        first_frame: bool = False,
    ) -> list[I]:
        """Await :meth:`generate_thumbnails`."""
        return await run(self.generate_thumbnails, sizes, filter=filter, store=store, first_frame=first_frame)

    async def amake_blob(self, store: Store = current_store) -> bytes:
        """Await :meth:`make_blob`."""
        return await run(self.make_blob, store)

    # How.

    def _candidates(self, **wanted: Any) -> list[I]:
        """The images of this set that have these values."""
        return matching(self.query, **wanted, **self.identity_map)

    def _find_or_make(self, sizes: Sequence[WantedSize], store: Store, **options: Unpack[ResizeOptions]) -> list[I]:
        from ..imaging import check_filter

        check_filter(options.get("filter", "undefined"))
        owner, relationship = place_of(self.query)
        original = self.require_original()
        store = find_store(store, original, owner=owner)
        candidates = self._candidates()
        found = {wanted: find_made(original, candidates, wanted) for wanted in sizes}
        missing = [wanted for wanted, image in found.items() if image is None]
        if missing:
            open_source = partial(original.open_file, store, use_seek=True)
            with contextlib.ExitStack() as opened:
                made = call(make, open_source, missing, accepted_by(relationship), **options)
                for each in made:
                    opened.enter_context(each.file)
                for wanted, each in zip(missing, made, strict=True):
                    found[wanted] = self._keep(each, original, store)
        return [image for wanted in sizes if (image := found[wanted]) is not None]

    def _keep(self, made: Resized, original: I, store: Store) -> I:
        """Attach what was made, unless somebody has made the same meanwhile."""
        owner, relationship = place_of(self.query)
        size = made.width, made.height
        found = next(iter(self._candidates(width=made.width, height=made.height)), None)
        if found is not None:
            return found
        found = lock_and_find(original, ImageSetRef(owner, relationship, tuple(self.identity_map.items())), size)
        if found is not None:
            current(self.query).append(found)
            return found
        incoming = Incoming(call(PendingFile.of_file, store, made.file, 2**63), size, made.mimetype)
        attach = partial(self._insert, incoming, False, inherited=inherited_values(original))
        session = object_session(original)
        if session is None or not inspect(original).persistent:
            return attach()
        if not has_gap_locks(connection_for(session, relationship.mapper, original)):
            return attach()
        image: I = insert_or_find(session, relationship.mapper, attach)
        if image not in self.query:
            current(self.query).append(image)
        return image

    def _attach(
        self,
        content: bytes | IO[bytes],
        store: Store,
        size: tuple[int, int] | None,
        mimetype: str | None,
        original: bool,
        extra_args: Sequence[Any] | None,
        extra_kwargs: Mapping[str, Any] | None,
        policy: ImagePolicy | None,
    ) -> I:
        if size is not None:
            width, height = size
            size = pixels("width", width), pixels("height", height)
        if not (mimetype is None or isinstance(mimetype, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected a text such as 'image/png' as mimetype, not {mimetype!r}")
        owner, relationship = place_of(self.query)
        store = find_store(store, self.original, owner=owner, mapper=relationship.mapper)
        policy = policy or accepted_by(relationship)
        incoming = call(read_incoming, store, content, policy, size, mimetype, relationship.mapper.class_)
        width, height = incoming.size
        if not original and any(image.original for image in self._candidates(width=width, height=height)):
            raise ValueError(f"expected a thumbnail of another size than the original, not {width}x{height}")
        return self._insert(incoming, original, extra_args or (), extra_kwargs or {})

    def _insert(self, incoming: Incoming, original: bool, *args: Any, **kwargs: Any) -> I:
        image: I = insert_image(current(self.query), self.identity_map, incoming, original, *args, **kwargs)
        return image


class SingleImageSet(BaseImageQuery[I], BaseImageSet[I]):
    """The image set of an attribute that has one original: ``user.picture``.

    It is a :class:`~sqlalchemy.orm.Query` of its images as well.
    """

    identity_map: Mapping[str, Any] = {}

    @property
    def query(self) -> BaseImageQuery[I]:
        return self


#: The name that most people know :class:`SingleImageSet` by.
ImageSet = SingleImageSet


def _newness(image: Any) -> tuple[bool, datetime.datetime]:
    # A date that the database could not keep, such as MariaDB's zero date, is read as none.
    created_at: datetime.datetime = image.created_at or datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    return not inspect(image).has_identity, created_at.replace(tzinfo=None)


#: What templates must not call: Django and Jinja2's sandbox leave alone what says that it alters data.
_ALTERING = (
    *("append", "clear", "remove", "delete", "adelete", "update"),
    *("from_file", "from_blob", "from_raw_file", "generate_thumbnail", "generate_thumbnails"),
    *("afrom_file", "afrom_blob", "afrom_raw_file", "agenerate_thumbnail", "agenerate_thumbnails"),
)


def mark_altering(cls: type[Any]) -> None:
    """Mark the methods of a class that alter data.

    :param cls: a class of image sets
    """
    for name in _ALTERING:
        method = getattr(cls, name, None)
        if method is not None:
            method.alters_data = True


mark_altering(SingleImageSet)
