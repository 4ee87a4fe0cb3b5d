"""The names that documents promise stay: those of the original library, and those of README.md and docs/."""

from __future__ import annotations

import importlib
import inspect

import pytest

#: Every module and name of the original library's documents.
ORIGINAL = """
from sqlalchemy_imageattach.context import ContextError, LocalProxyStore, context_stacks, current_store
from sqlalchemy_imageattach.context import get_current_context_id, get_current_store, pop_store_context
from sqlalchemy_imageattach.context import push_store_context, store_context
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.entity import BaseImageQuery, BaseImageSet, ImageSubset, MultipleImageSet, SingleImageSet
from sqlalchemy_imageattach.entity import VECTOR_TYPES
from sqlalchemy_imageattach.file import FileProxy, ReusableFileProxy, SeekableFileProxy
from sqlalchemy_imageattach.migration import MigrationPlan, migrate, migrate_class
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import BaseFileSystemStore, FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.fs import StaticServerMiddleware, guess_extension
from sqlalchemy_imageattach.stores.s3 import AuthMechanismError, BASE_URL_FORMAT, DEFAULT_MAX_AGE
from sqlalchemy_imageattach.stores.s3 import S3Request, S3SandboxStore, S3Store
from sqlalchemy_imageattach.util import append_docstring, append_docstring_attributes, get_minimum_indent
from sqlalchemy_imageattach.version import VERSION, VERSION_INFO
"""

#: What README.md, docs/ and examples/ import or name, beside those.
DOCUMENTED = """
from sqlalchemy_imageattach import ContextError, Image, ImageAttachError, ImageNotFoundError, ImagePolicy, ImageSet
from sqlalchemy_imageattach import ImageSubset, InvalidImageError, MissingDependencyError, MultipleImageSet
from sqlalchemy_imageattach import SingleImageSet, Store, StoreError, __version__, current_store, image_attachment
from sqlalchemy_imageattach import store_context
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.exc import ContextError, ImageNotFoundError, InvalidImageError, StoreError
from sqlalchemy_imageattach.imaging import ImagePolicy, isolate
from sqlalchemy_imageattach.instrumentation import Event, opentelemetry_spans, subscribe, unsubscribe
from sqlalchemy_imageattach.bulk import KeyRange, key_ranges
from sqlalchemy_imageattach.bulk.thumbnails import Made, drop_thumbnails, make_thumbnails
from sqlalchemy_imageattach.rebuilding import Made, drop_thumbnails, make_thumbnails
from sqlalchemy_imageattach.serving import Hosts, Request, Rules, Stored, respond
from sqlalchemy_imageattach.store import FileKey, StoredFile
from sqlalchemy_imageattach.stores import store_from_url
from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.sandbox import SandboxStore
from sqlalchemy_imageattach.stores.url import store_from_url
from sqlalchemy_imageattach.tasks import ImageTasks, enqueue
from sqlalchemy_imageattach.testing import StoreContract
"""

#: The parameters of the original's methods, in their order; what was added since follows them, or is by keyword only.
SIGNATURES = {
    "context.LocalProxyStore": "get_current_object repr_string",
    "context.push_store_context": "store",
    "context.pop_store_context": "",
    "context.get_current_store": "",
    "context.get_current_context_id": "",
    "context.store_context": "store",
    "entity.Image.locate": "self store",
    "entity.Image.make_blob": "self store",
    "entity.Image.open_file": "self store use_seek",
    "entity.ImageSet.find_thumbnail": "self width height",
    "entity.ImageSet.from_blob": "self blob store",
    "entity.ImageSet.from_file": "self file store",
    "entity.ImageSet.from_raw_file": "self raw_file store size mimetype original",
    "entity.ImageSet.generate_thumbnail": ("self ratio width height filter store _preprocess_image _postprocess_image"),
    "entity.ImageSet.locate": "self store",
    "entity.ImageSet.make_blob": "self store",
    "entity.ImageSet.open_file": "self store use_seek",
    "entity.ImageSet.require_original": "self",
    "file.FileProxy": "wrapped",
    "file.FileProxy.read": "self size",
    "file.FileProxy.readline": "self size",
    "file.FileProxy.readlines": "self sizehint",
    "file.SeekableFileProxy.seek": "self offset whence",
    "file.SeekableFileProxy.tell": "self",
    "migration.MigrationPlan.execute": "self callback",
    "migration.migrate": "session declarative_base source destination",
    "migration.migrate_class": "session cls source destination",
    "store.Store.delete": "self image",
    "store.Store.delete_file": "self object_type object_id width height mimetype",
    "store.Store.get_file": "self object_type object_id width height mimetype",
    "store.Store.get_url": "self object_type object_id width height mimetype",
    "store.Store.locate": "self image",
    "store.Store.open": "self image use_seek",
    "store.Store.put_file": "self file object_type object_id width height mimetype reproducible",
    "store.Store.store": "self image file",
    "stores.fs.FileSystemStore": "path base_url",
    "stores.fs.HttpExposedFileSystemStore": "path prefix",
    "stores.fs.HttpExposedFileSystemStore.wsgi_middleware": "self app",
    "stores.fs.StaticServerMiddleware": "app url_path dir_path block_size",
    "stores.fs.guess_extension": "mimetype",
    "stores.s3.S3Request": "url bucket access_key secret_key data headers method content_type",
    "stores.s3.S3SandboxStore": (
        "underlying overriding access_key secret_key max_age underlying_prefix overriding_prefix"
    ),
    "stores.s3.S3Store": "bucket access_key secret_key max_age prefix public_base_url",
    "util.append_docstring": "docstring lines",
    "util.append_docstring_attributes": "docstring locals",
    "util.get_minimum_indent": "docstring ignore_before",
}


@pytest.mark.parametrize("line", [*ORIGINAL.splitlines()[1:], *DOCUMENTED.splitlines()[1:]])
def test_a_documented_name_can_be_imported(line):
    exec(line, {})


@pytest.mark.parametrize(("path", "names"), SIGNATURES.items(), ids=SIGNATURES)
def test_a_method_of_the_original_takes_what_it_took(path, names):
    parts = path.split(".")
    split = next(i for i, part in enumerate(parts) if part[0].isupper() or i == len(parts) - 1)
    value = importlib.import_module(".".join(["sqlalchemy_imageattach", *parts[:split]]))
    for part in parts[split:]:
        value = getattr(value, part)
    taken = list(inspect.signature(value).parameters)
    assert taken[: len(names.split())] == names.split()
