from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import threading
import weakref
from types import SimpleNamespace
from typing import IO, Any

import greenlet
import pytest

from sqlalchemy_imageattach import context
from sqlalchemy_imageattach.context import (
    ContextError,
    LocalProxyStore,
    context_stacks,
    current_store,
    get_current_context_id,
    get_current_store,
    pop_store_context,
    push_store_context,
    store_context,
)
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store, takes_revision
from sqlalchemy_imageattach.stores.memory import MemoryStore

IMAGE: Any = SimpleNamespace(
    object_type="t", object_id=1, width=2, height=3, mimetype="image/png", created_at=None, original=True, revision=None
)


def test_contexts_nest() -> None:
    outer, inner = MemoryStore(), MemoryStore()
    with store_context(outer) as yielded:
        assert yielded is outer
        with store_context(inner):
            assert get_current_store() is inner
        assert get_current_store() is outer
    with pytest.raises(ContextError):
        get_current_store()


def test_exception_pops() -> None:
    with pytest.raises(KeyError), store_context(MemoryStore()):
        raise KeyError
    with pytest.raises(ContextError):
        get_current_store()


def test_block_leaves_the_stack_as_it_was_even_if_its_pushes_are_not_popped() -> None:
    outer = MemoryStore()
    with store_context(outer):
        with store_context(MemoryStore()):
            push_store_context(MemoryStore())
        assert get_current_store() is outer


def test_push_and_pop() -> None:
    store = MemoryStore()
    push_store_context(store)
    assert get_current_store() is store
    assert pop_store_context() is store


def test_a_pop_undoes_pushes_alone_since_another_hook_may_have_answered_before_the_store_was_pushed() -> None:
    assert pop_store_context() is None
    with store_context(store := MemoryStore()):
        assert pop_store_context() is None
        assert get_current_store() is store


def test_context_decorates_functions() -> None:
    store = MemoryStore()
    assert store_context(store)(get_current_store)() is store


def test_a_block_that_ends_in_another_context_leaves_that_one_alone() -> None:
    former = store_context(MemoryStore())
    contextvars.Context().run(former.__enter__)
    with store_context(MemoryStore()) as store:
        former.__exit__(None, None, None)
        assert get_current_store() is store


def test_blocks_that_end_in_another_order_leave_nothing() -> None:
    first, second = store_context(MemoryStore()), store_context(MemoryStore())
    for block in (first, second):
        block.__enter__()
    for block in (first, second):
        block.__exit__(None, None, None)
    assert len(context_stacks) == 0


@pytest.mark.parametrize("wrong", [None, "store", MemoryStore, object()])
def test_what_is_no_store_is_refused_and_nothing_is_pushed(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an instance of"):
        push_store_context(wrong)
    with pytest.raises(TypeError, match="expected an instance of"), store_context(wrong):
        pass
    assert len(context_stacks) == 0


def test_threads_do_not_share_a_stack() -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append(get_current_context_id())
        with pytest.raises(ContextError):
            get_current_store()

    with store_context(MemoryStore()):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [thread]


def test_greenlets_do_not_share_a_stack() -> None:
    stores = [MemoryStore(), MemoryStore()]
    seen: list[Store] = []

    def run(store: Store) -> None:
        with store_context(store):
            assert get_current_context_id() is greenlet.getcurrent()
            greenlet.getcurrent().parent.switch()
            seen.append(get_current_store())

    greenlets = [greenlet.greenlet(run) for _ in stores]
    for each, store in zip(greenlets, stores, strict=True):
        each.switch(store)
    assert [context_stacks[each] for each in greenlets] == [(store,) for store in stores]
    with pytest.raises(ContextError):
        get_current_store()
    for each in greenlets:
        each.switch()
    assert seen == stores


async def _push_and_meet(store: Store, barrier: asyncio.Barrier) -> tuple[Store, object]:
    with store_context(store):
        await barrier.wait()
        return get_current_store(), get_current_context_id()


def test_tasks_do_not_share_a_stack() -> None:
    async def main() -> None:
        stores = [MemoryStore(), MemoryStore()]
        barrier = asyncio.Barrier(2)
        tasks = [asyncio.create_task(_push_and_meet(store, barrier)) for store in stores]
        assert await asyncio.gather(*tasks) == list(zip(stores, tasks, strict=True))

    asyncio.run(main())


def test_task_starts_with_the_stack_of_its_maker() -> None:
    async def main() -> None:
        store = MemoryStore()

        async def child() -> None:
            assert get_current_store() is store
            assert context_stacks[get_current_context_id()] == (store,)

        with store_context(store):
            task = asyncio.create_task(child())
        await task

    asyncio.run(main())


def test_context_stacks_maps_what_is_live_to_its_stack() -> None:
    outer, inner = MemoryStore(), MemoryStore()
    assert dict(context_stacks) == {}
    with store_context(outer), store_context(inner):
        assert dict(context_stacks) == {threading.current_thread(): (outer, inner)}
        assert context_stacks[get_current_context_id()] == (outer, inner)
    assert dict(context_stacks) == {}


def test_context_stacks_is_read_only() -> None:
    with pytest.raises(TypeError):
        context_stacks[1] = ()  # type: ignore[index]
    assert "context_stacks" in repr(context_stacks)


def test_dead_threads_greenlets_and_tasks_are_not_in_context_stacks() -> None:
    async def push() -> None:
        push_store_context(MemoryStore())

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(push())
        await task
        return task

    threads = [threading.Thread(target=push_store_context, args=(MemoryStore(),)) for _ in range(50)]
    for thread in threads:
        thread.start()
        thread.join()
    dead = greenlet.greenlet(lambda: push_store_context(MemoryStore()))
    dead.switch()
    task = asyncio.run(main())
    assert dict(context_stacks) == {}
    assert task.done()
    assert dead.dead


def test_stack_of_a_dead_thread_is_freed() -> None:
    store = MemoryStore()
    reference = weakref.ref(store)
    thread = threading.Thread(target=push_store_context, args=(store,))
    thread.start()
    thread.join()
    del store, thread
    gc.collect()
    assert reference() is None


class Everything(Store):
    """Remembers what it was asked; it overrides the templates too."""

    extra = "extra"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS:
            return lambda *arguments: self.calls.append((name, *arguments))
        return super().__getattribute__(name)


METHODS = {
    name for name, value in vars(Store).items() if callable(value) and name != "takes_revision" and name[0] != "_"
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_current_store_passes_every_method_on(name: str) -> None:
    arguments = {"put_key": ("f", "k", True), "list_files": (), "now": (), "store": ("i", "f"), "open": ("i", True)}
    arguments |= {"spool_folder": (), "rename_key": ("k", "l")}
    expected = arguments.get(name, ("k",))
    store = Everything()
    with store_context(store):
        getattr(current_store, name)(*expected)
    assert store.calls == [(name, *expected)]


def test_current_store_has_the_attributes_of_the_store() -> None:
    with store_context(Everything()):
        assert current_store.extra == "extra"
        assert not hasattr(current_store, "missing")
    with pytest.raises(ContextError):
        _ = current_store.extra


def test_current_store_takes_revisions_when_the_store_does() -> None:
    with store_context(MemoryStore()):
        assert takes_revision(current_store)
    with store_context(Everything()):
        assert not takes_revision(current_store)


def test_current_store_equals_the_store() -> None:
    store = MemoryStore()
    assert current_store == current_store
    assert current_store != store
    with store_context(store):
        assert current_store == store
        assert hash(current_store) == hash(store)
        assert LocalProxyStore(lambda: store) == current_store


def test_repr_never_raises() -> None:
    assert repr(current_store) == "sqlalchemy_imageattach.context.current_store"
    assert repr(LocalProxyStore(get_current_store)) == "<unbound LocalProxyStore>"
    with store_context(MemoryStore()):
        assert repr(LocalProxyStore(get_current_store)) == "<LocalProxyStore of MemoryStore('memory:///')>"


def test_proxy_needs_a_function() -> None:
    with pytest.raises(TypeError, match="must be callable"):
        LocalProxyStore(MemoryStore())  # type: ignore[arg-type]


def test_proxy_can_be_copied() -> None:
    assert repr(copy.copy(current_store)) == repr(current_store)


class Decorated(Store):
    """The guide's example: a store over the one that is current when it is made."""

    def __init__(self, wrapped: Store) -> None:
        self.wrapped = wrapped

    def get_url(self, *args: Any, **kwargs: Any) -> str:
        return self.wrapped.get_url(*args, **kwargs) + "?decorated"

    def get_file(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        return self.wrapped.get_file(*args, **kwargs)


def test_store_made_over_current_store_reaches_the_one_below_it() -> None:
    with store_context(MemoryStore()), store_context(Decorated(current_store)):
        assert current_store.locate(IMAGE) == "memory:///t/1/0/1.2x3.png?decorated"
        with pytest.raises(OSError, match="no such file"):
            current_store.open(IMAGE)


def test_current_store_resolves_by_key_too() -> None:
    with store_context(MemoryStore("http://host/")):
        assert current_store.url_of_key(FileKey.of(IMAGE)) == "http://host/t/1/0/1.2x3.png"


def test_module_exports_the_documented_names() -> None:
    assert set(context.__all__) == {
        "ContextError",
        "LocalProxyStore",
        "context_stacks",
        "current_store",
        "get_current_context_id",
        "get_current_store",
        "pop_store_context",
        "push_store_context",
        "store_context",
    }
