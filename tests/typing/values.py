"""The types of what the library hands out, and takes, by the names that an application writes in its annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

from sqlalchemy.orm import Session

from sqlalchemy_imageattach.audit import Finding, Kind
from sqlalchemy_imageattach.bulk.thumbnails import Made, make_thumbnails
from sqlalchemy_imageattach.entity import Image
from sqlalchemy_imageattach.instrumentation import Event, Operation
from sqlalchemy_imageattach.serving import Body, Folder, Found, Request, Response, Source, respond
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.s3 import S3Options, S3SandboxStore
from sqlalchemy_imageattach.tasks import PARTITION_SIZE
from sqlalchemy_imageattach.variants import Transform, Variant
from sqlalchemy_imageattach.variants.transform import Fit


def a_finding_has_a_kind(finding: Finding) -> Kind:
    return finding.kind


def an_event_has_the_name_of_its_operation(event: Event) -> Operation:
    return event.name


def thumbnails_are_made_one_original_at_a_time(session: Session, base: Any, store: Store) -> Iterator[Made]:
    yield from make_thumbnails(session, base, store, widths=[160])


def a_source_finds_files(source: Source) -> Found | None:
    return source.find("user-picture/1/0/1.640x480.png")


def a_request_is_answered_from_any_source(request: Request) -> bytes | Body:
    source: Source = Folder("images")
    response = respond(request, source)
    assert_type(response, Response)
    return response.body


def a_sandbox_takes_the_options_of_its_stores(options: S3Options) -> S3SandboxStore:
    return S3SandboxStore("underlying", "overriding", **options)


def a_task_takes_so_many_rows() -> int:
    return PARTITION_SIZE


def a_variant_is_a_value(image: Image, fit: Fit) -> Variant:
    return image.variant(Transform(width=320, height=200, fit=fit))
