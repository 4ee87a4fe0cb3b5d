"""Which store is current, without handing it through every function.

::

    with store_context(store):
        user.picture.from_file(file)        # goes to store

Contexts nest, and each thread, greenlet and asyncio task has its own.  The stack of stores is an immutable tuple in a
:class:`~contextvars.ContextVar`: a task starts with the stack of the code that started it, and what it pushes is its
own.  It must always be true that

- a block leaves the stack as it found it, however it ends; one that ends in another context than it began in, as that
  of a generator that was never closed, leaves that one alone;
- while :data:`current_store` runs a method of the current store, the store below that one is current, so that a store
  made over :data:`current_store` reaches the one that it decorates and not itself;
- nothing here keeps a thread, greenlet or task alive, nor the stack of a dead one in sight.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import IO, Any

from .exc import ContextError
from .naming import FileKey, StorableImage
from .store import Store, StoredFile, check_store

__all__ = (
    "ContextError",
    "LocalProxyStore",
    "context_stacks",
    "current_store",
    "get_current_context_id",
    "get_current_store",
    "pop_store_context",
    "push_store_context",
    "store_context",
)

_Stack = tuple[Store, ...]

_stack: ContextVar[_Stack] = ContextVar("sqlalchemy_imageattach.context", default=())

# How many stores on top of it were pushed by hand, since the innermost block began.
_pushed: ContextVar[int] = ContextVar("sqlalchemy_imageattach.context.pushed", default=0)

# A mark of each block that is open, the innermost last.
_blocks: ContextVar[tuple[object, ...]] = ContextVar("sqlalchemy_imageattach.context.blocks", default=())


@contextmanager
def store_context(store: Store) -> Iterator[Store]:
    """Make a store the current one in a ``with`` block; blocks nest.

    :param store: the store
    :returns: a context manager, which is a decorator too
    :raises TypeError: when ``store`` is no :class:`~sqlalchemy_imageattach.store.Store`

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> with store_context(store):
    ...     get_current_store() is store
    True
    """
    check_store("store", store)
    outer, pushed, blocks, block = _stack.get(), _pushed.get(), _blocks.get(), object()
    _replace((*outer, store), 0)
    _blocks.set((*blocks, block))
    try:
        yield store
    finally:
        if block in _blocks.get():
            # Also when the block pushed something that it did not pop.
            _replace(outer, pushed)
            _blocks.set(blocks)


def push_store_context(store: Store) -> None:
    """Make a store the current one until :func:`pop_store_context`; where possible use :func:`store_context`.

    :param store: the store
    :raises TypeError: when ``store`` is no :class:`~sqlalchemy_imageattach.store.Store`
    """
    check_store("store", store)
    _replace((*_stack.get(), store), _pushed.get() + 1)


def pop_store_context() -> Store | None:
    """Undo the last :func:`push_store_context` of this thread, greenlet or task.

    A hook that runs at the end of a request may call it though another hook has answered before the store was pushed.
    So it does nothing where there is nothing to undo, and leaves the store of a :func:`store_context` block alone.

    :returns: the store that was pushed, or ``None``
    """
    stack, pushed = _stack.get(), _pushed.get()
    if pushed < 1 or not stack:
        return None
    _replace(stack[:-1], pushed - 1)
    return stack[-1]


def get_current_store() -> Store:
    """Return the current store itself, where :data:`current_store` is a proxy for whichever is current.

    :returns: the store
    :raises ContextError: when there is none
    """
    stack = _stack.get()
    if not stack:
        raise ContextError(
            "no store is current; wrap the code in sqlalchemy_imageattach.context.store_context(store),"
            " or pass store=... to the method"
        )
    return stack[-1]


def get_current_context_id() -> object:
    """Identify what has a stack of its own here.

    :returns: the running asyncio task, else the running greenlet, else the running thread
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        task = None
    if task is not None:
        return task
    # Where greenlet was not imported, no code runs in one.
    if (greenlets := sys.modules.get("greenlet")) is not None:
        greenlet: Any = greenlets.getcurrent()
        # The greenlet without a parent is the thread's own.
        if greenlet.parent is not None:
            return greenlet
    return threading.current_thread()


class _ContextStacks(Mapping[object, _Stack]):
    """The stacks by what :func:`get_current_context_id` returns, as far as they live and have pushed a store."""

    def __init__(self) -> None:
        self._stacks: weakref.WeakKeyDictionary[Any, _Stack] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def record(self, stack: _Stack) -> None:
        context_id = get_current_context_id()
        with self._lock:
            if stack:
                self._stacks[context_id] = stack
            else:
                self._stacks.pop(context_id, None)

    def _live(self) -> dict[object, _Stack]:
        with self._lock:
            stacks = dict(self._stacks)
        # What the current one has inherited is its stack too.
        stacks.pop(get_current_context_id(), None)
        if _stack.get():
            stacks[get_current_context_id()] = _stack.get()
        return {context_id: stack for context_id, stack in stacks.items() if _is_alive(context_id)}

    def __getitem__(self, context_id: object) -> _Stack:
        return self._live()[context_id]

    def __iter__(self) -> Iterator[object]:
        return iter(self._live())

    def __len__(self) -> int:
        return len(self._live())

    def __repr__(self) -> str:
        return f"<context_stacks {self._live()!r}>"


#: The stacks of all live threads, greenlets and tasks that have pushed a store, each a tuple whose last store is the
#: current one; by what :func:`get_current_context_id` returns in them.  Read-only.
context_stacks: Mapping[object, tuple[Store, ...]] = (_context_stacks := _ContextStacks())


def _replace(stack: _Stack, pushed: int) -> None:
    _stack.set(stack)
    _pushed.set(pushed)
    _context_stacks.record(stack)


def _is_alive(context_id: object) -> bool:
    if isinstance(context_id, threading.Thread):
        return context_id.is_alive()
    if isinstance(context_id, asyncio.Task):
        return not context_id.done()
    return not getattr(context_id, "dead", False)


class LocalProxyStore(Store):
    """A store that passes everything on to another one, which it asks for each time.

    :param get_current_object: returns the store to pass everything on to
    :param repr_string: what :func:`repr` returns, if not the other store's
    :raises TypeError: when ``get_current_object`` cannot be called

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> proxy = LocalProxyStore(MemoryStore)
    >>> isinstance(proxy, Store)
    True
    """

    def __init__(self, get_current_object: Callable[[], Store], repr_string: str | None = None) -> None:
        if not callable(get_current_object):
            raise TypeError(f"get_current_object must be callable, not {get_current_object!r}")
        self.get_current_object = get_current_object
        self.repr_string = repr_string

    def store_behind(self) -> Store | None:
        """Find the other store, whatever proxies are between.

        :returns: the store; ``None`` when there is none now
        """
        store: Store | None = self
        while isinstance(store, LocalProxyStore):
            try:
                if store.get_current_object is get_current_store:
                    # An error that says what to do is dear, and here nobody would read it.
                    store = stack[-1] if (stack := _stack.get()) else None
                else:
                    store = store.get_current_object()
            except ContextError:
                return None
        return store

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        store = self.get_current_object()
        stack = _stack.get()
        if not stack or stack[-1] is not store:
            return getattr(store, method)(*args, **kwargs)
        token = _stack.set(stack[:-1])
        try:
            return getattr(store, method)(*args, **kwargs)
        finally:
            _stack.reset(token)

    @property
    def workers(self) -> int:  # type: ignore[override]  # a proxy has none of its own to set
        return self.get_current_object().workers

    @property
    def variants(self) -> object | None:  # type: ignore[override]
        return self.get_current_object().variants

    def takes_revision(self) -> bool:
        result: bool = self._call("takes_revision")
        return result

    def takes_type(self, mimetype: str) -> bool:
        result: bool = self._call("takes_type", mimetype)
        return result

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        self._call("put_file", *args, **kwargs)

    def delete_file(self, *args: Any, **kwargs: Any) -> None:
        self._call("delete_file", *args, **kwargs)

    def get_file(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        result: IO[bytes] = self._call("get_file", *args, **kwargs)
        return result

    def get_url(self, *args: Any, **kwargs: Any) -> str:
        result: str = self._call("get_url", *args, **kwargs)
        return result

    def list_files(self) -> Iterator[StoredFile]:
        result: Iterator[StoredFile] = self._call("list_files")
        return result

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        result: Iterator[StoredFile] = self._call("list_variants", original)
        return result

    def delete_variants(self, original: FileKey) -> None:
        self._call("delete_variants", original)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        result: AbstractContextManager[None] = self._call("alone", key)
        return result

    def now(self) -> datetime.datetime:
        result: datetime.datetime = self._call("now")
        return result

    def spool_folder(self) -> str | None:
        result: str | None = self._call("spool_folder")
        return result

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        self._call("rename_key", former, key)

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        self._call("put_key", file, key, reproducible)

    def get_key(self, key: FileKey) -> IO[bytes]:
        result: IO[bytes] = self._call("get_key", key)
        return result

    def delete_key(self, key: FileKey) -> None:
        self._call("delete_key", key)

    def url_of_key(self, key: FileKey) -> str:
        result: str = self._call("url_of_key", key)
        return result

    def store(self, image: StorableImage, file: IO[bytes]) -> None:
        self._call("store", image, file)

    def delete(self, image: StorableImage) -> None:
        self._call("delete", image)

    def open(self, image: StorableImage, use_seek: bool = False) -> IO[bytes]:
        result: IO[bytes] = self._call("open", image, use_seek)
        return result

    def locate(self, image: StorableImage) -> str:
        result: str = self._call("locate", image)
        return result

    def __getattr__(self, name: str) -> Any:
        # Python asks objects for special names that they need not have, also before they are initialized.
        if name.startswith("__") or name in {"get_current_object", "repr_string"}:
            raise AttributeError(f"{type(self).__qualname__} has no attribute {name}")
        return getattr(self.get_current_object(), name)

    def __eq__(self, other: object) -> bool:
        return self._resolved() == (other._resolved() if isinstance(other, LocalProxyStore) else other)

    def __hash__(self) -> int:
        return hash(self._resolved())

    def __repr__(self) -> str:
        if self.repr_string is not None:
            return self.repr_string
        store = self._resolved()
        return (
            f"<{type(self).__qualname__} of {store!r}>"
            if isinstance(store, Store)
            else f"<unbound {type(self).__qualname__}>"
        )

    def _resolved(self) -> object:
        # An unbound proxy equals only itself.
        try:
            return self.get_current_object()
        except ContextError:
            return id(self)


#: The store that is current, as a store: what it is asked, it asks that one.  Set it with :func:`store_context`.
current_store = LocalProxyStore(get_current_store, f"{__name__}.current_store")
