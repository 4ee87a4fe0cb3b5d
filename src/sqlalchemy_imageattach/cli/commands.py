"""The commands, and how errors end them."""

from __future__ import annotations

import datetime
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.engine import URL

from ..audit import DEFAULT_GRACE, DEFAULT_LIMIT
from ..bulk.arguments import mappers_of
from ..bulk.batches import count
from ..bulk.keys import ALL_KEYS
from ..bulk.thumbnails import make_thumbnails, thumbnails_job
from ..entity import Image
from ..migration import migrate as migrate_base
from ..migration import migrate_class, migration_job
from ..variants import Variants
from ..version import VERSION
from . import auditing, dropping
from .arguments import DATABASE, DURATION, MODELS, STORE, GivenStore, Models, must_exist, opened, without_secrets
from .endings import Ahead, Terminated, checked, ending, fail_image
from .inspection import inspect_file
from .report import Ended, Report, Status

__all__ = ("group", "run")

F = TypeVar("F", bound=Callable[..., Any])

_STATUSES = """
Exit status: 0 all is well; 1 images failed, or something was found, and is on the standard output; 2 wrong usage, or
what is not safe: nothing was done; 3 it could not go on, since a database, a disk or the output gave out; 70 a defect,
with a traceback; 130 Ctrl-C; 143 SIGTERM.  After 3, 70, 130 and 143 what was done is whole.

Every option may come from the environment: --database from IMAGEATTACH_DATABASE.  That is the place for passwords, for
others see the arguments of a process.
"""


@click.group(epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(VERSION, prog_name="sqlalchemy-imageattach")
def group() -> None:
    """Operations on the images of an application."""


def _options(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _option(*names: str, **arguments: Any) -> Callable[[Any], Any]:
    variable = f"IMAGEATTACH_{names[0].split('/')[0].lstrip('-').replace('-', '_').upper()}"
    return click.option(*names, envvar=variable, **arguments)


def _store_argument(name: str) -> Callable[[Any], Any]:
    return click.argument(name, type=STORE, envvar=f"IMAGEATTACH_{name.upper()}")


_of_images = _options(
    _option("--models", type=MODELS, required=True, help="The declarative base of the models, as shop.models:Base."),
    _option(
        "--database",
        type=DATABASE,
        required=True,
        multiple=True,
        help="The URL of the database, as for SQLAlchemy; several times, where several share a store.",
    ),
    _option("--class", "class_name", help="Just this image class, as UserPicture; else all of them."),
)
_as_json = _option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs.")
_workers = _option("--workers", type=click.IntRange(1), default=4, show_default=True, help="How many files at once.")
_checkpoint = _option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to go on from, when this was stopped; it is made and kept up to date.",
)


@group.command(epilog=_STATUSES)
@_store_argument("source")
@_store_argument("destination")
@_of_images
@_workers
@_option("--verify", is_flag=True, help="Read each file back and compare; refuse those that are cut off.")
@_option("--skip-existing", is_flag=True, help="Leave out what the destination has; with --verify, if it is the same.")
@_checkpoint
@_option("--variants", is_flag=True, help="Take along what was made of the originals, and is not there yet.")
@_option("--dry-run", is_flag=True, help="Write nothing: open each file, and count what would be copied.")
@_option("--max-bytes-per-second", type=click.IntRange(1), help="How much to read from the source, at the most.")
@_as_json
def migrate(
    source: GivenStore,
    destination: GivenStore,
    models: Models,
    database: tuple[URL, ...],
    class_name: str | None,
    workers: int,
    verify: bool,
    skip_existing: bool,
    variants: bool,
    checkpoint: Path | None,
    dry_run: bool,
    max_bytes_per_second: int | None,
    as_json: bool,
) -> Status:
    """Copy the files of all images from the store SOURCE to the store DESTINATION.

    Stores are URLs, such as file:///var/images or s3://bucket/prefix?region=eu-west-1.  Nothing is ever deleted, and
    nothing is written to SOURCE.  A file that could not be copied is reported, and the others are copied.
    """
    chosen = models.chosen(class_name)
    old = must_exist(source, "SOURCE")
    if source.url == destination.url:
        raise click.UsageError("SOURCE and DESTINATION are the same store")
    done = 0
    with opened(database) as sessions, Report(as_json) as report:
        mappers = mappers_of(chosen)
        job = migration_job(sessions, mappers, ALL_KEYS, old, destination.store)
        ahead = Ahead(checkpoint, job, sessions, mappers)

        def skip(_: Image) -> None:
            report.counts["skipped"] += 1
            report.advance()

        def fail(image: Image, error: Exception) -> None:
            fail_image(report, image, error)
            report.advance()

        with checked():
            plan = (migrate_base if chosen is models.base else migrate_class)(
                sessions,
                chosen,
                old,
                destination.store,
                workers=workers,
                verify=verify,
                skip_existing=skip_existing,
                variants=variants,
                dry_run=dry_run,
                checkpoint=checkpoint,
                on_error=fail,
                on_skip=skip,
                max_bytes_per_second=max_bytes_per_second,
            )

        def end(status: Status) -> Status:
            verb = "to copy" if dry_run else "copied"
            skipped, failed = report.counts["skipped"], report.counts["failed"]
            if failed and not dry_run:
                report.note("To try again what failed, run the same with --skip-existing.")
            line = f"{done:,} {verb}, {skipped:,} left out since they are there, {failed:,} failed"
            counts = {"copied": done, "skipped": skipped, "failed": failed, "passed_over": ahead.passed_over}
            return report.end(status, line, **counts, dry_run=dry_run)

        if dry_run:
            advice = "Nothing was copied."
        elif checkpoint is not None:
            advice = f"Run the same again, and it goes on from {checkpoint}."
        else:
            advice = "What was copied stays: run the same with --skip-existing to go on."
        with ending(report, end, advice):
            ahead.look(report)
            report.begin("copying", ahead.count)
            for _ in plan:
                done += 1
                report.advance()
        return end(Status.FOUND if report.counts["failed"] else Status.FINE)


@group.command(epilog=_STATUSES)
@_store_argument("store")
@_of_images
@_option("--probe", is_flag=True, help="Open each file, and compare its size and type with its row.")
@_option("--sweep", is_flag=True, help="Remove files that have no row, or first show them: this alone is a dry run.")
@_option("--dry-run/--no-dry-run", default=True, show_default=True, help="Whether --sweep just shows what it would do.")
@_option(
    "--older-than",
    type=DURATION,
    help="Leave files without a row out that are younger, as 90s, 30m, 12h or 2d; they may be of a transaction that"
    " goes on.  [default: 1d with --sweep, else 0]",
)
@_option(
    "--limit",
    type=click.FloatRange(0, 1),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Which share of the files --sweep removes at the most; 1 for all of them.",
)
@_option(
    "--variants-older-than",
    type=DURATION,
    help="Have --sweep remove variants that are older, too, as 90d, though their originals have rows; they are made"
    " again when somebody asks for them.",
)
@_option("--require-known-types", is_flag=True, help="Have --sweep refuse files of types that no class has.")
@_as_json
def audit(
    store: GivenStore,
    models: Models,
    database: tuple[URL, ...],
    class_name: str | None,
    probe: bool,
    sweep: bool,
    dry_run: bool,
    older_than: datetime.timedelta | None,
    limit: float,
    variants_older_than: datetime.timedelta | None,
    require_known_types: bool,
    as_json: bool,
) -> Status:
    """Compare the rows of all images with the files of STORE, both ways.

    What does not agree is printed, and nothing is changed.  With --sweep, files that have no row are looked for alone;
    with --sweep --no-dry-run they are removed.
    """
    chosen = models.chosen(class_name)
    files = must_exist(store, "STORE")
    if not sweep and not dry_run:
        raise click.UsageError("--no-dry-run is for --sweep")
    if not sweep and require_known_types:
        raise click.UsageError("--require-known-types is for --sweep")
    if not sweep and variants_older_than is not None:
        raise click.UsageError("--variants-older-than is for --sweep")
    if sweep and probe:
        raise click.UsageError("--sweep removes files without a row, and --probe is about those that have one")
    with opened(database) as sessions, Report(as_json, "files") as report:
        mappers = mappers_of(chosen)

        def total() -> int:
            return sum(count(session, mapper) for session in sessions for mapper in mappers)

        def end(status: Status) -> Status:
            line = f"stopped after {report.looked['rows']:,} rows and {report.looked['files']:,} files"
            return report.end(status, line, **report.looked, **report.counts)

        with ending(report, end, "Run the same again."):
            if sweep:
                grace = DEFAULT_GRACE if older_than is None else older_than
                before = None if variants_older_than is None else files.now() - variants_older_than
                return auditing.sweep(
                    sessions, chosen, files, grace, before, dry_run, limit, require_known_types, report, total
                )
            grace = older_than or datetime.timedelta(0)
            return auditing.verify(sessions, chosen, files, grace, probe, report, total)


@group.command(epilog=_STATUSES)
@_store_argument("store")
@_of_images
@_option("--width", "widths", type=click.IntRange(1), multiple=True, help="Pixels; may be given several times.")
@_option("--height", "heights", type=click.IntRange(1), multiple=True, help="Pixels; may be given several times.")
@_option("--ratio", "ratios", type=float, multiple=True, help="Times the original; may be given several times.")
@_option("--preset", "presets", multiple=True, help="A preset of variants, by its name; may be given several times.")
@_option("--secret", help="What the application signs variants with.")
@_option("--presets-only", is_flag=True, help="The application's variants have presets_only=True.")
@_option("--drop-width", "drop_widths", type=click.IntRange(1), multiple=True, help="Delete thumbnails of this width.")
@_option("--drop-height", "drop_heights", type=click.IntRange(1), multiple=True, help="Delete those of this height.")
@_option("--only-missing", is_flag=True, help="Leave the sizes that are there; else they are made anew.")
@_workers
@_checkpoint
@_as_json
def thumbnails(
    store: GivenStore,
    models: Models,
    database: tuple[URL, ...],
    class_name: str | None,
    widths: tuple[int, ...],
    heights: tuple[int, ...],
    ratios: tuple[float, ...],
    presets: tuple[str, ...],
    secret: str | None,
    presets_only: bool,
    drop_widths: tuple[int, ...],
    drop_heights: tuple[int, ...],
    only_missing: bool,
    workers: int,
    checkpoint: Path | None,
    as_json: bool,
) -> Status:
    """Make thumbnails of all originals in STORE, or delete those of a size.

    Give at least one size.  An original that cannot be decoded is reported, and the others are made.
    """
    chosen = models.chosen(class_name)
    files = must_exist(store, "STORE")
    if (widths or heights or ratios or presets) and (drop_widths or drop_heights):
        raise click.UsageError("make sizes and delete others in two runs")
    if not (widths or heights or ratios or presets or drop_widths or drop_heights):
        raise click.UsageError(
            "give at least one of --width, --height, --ratio, --preset, --drop-width and --drop-height"
        )
    if presets and secret is None:
        raise click.UsageError("--preset needs the application's secret, best in the environment as IMAGEATTACH_SECRET")
    done = originals = 0
    with opened(database) as sessions, Report(as_json, "originals") as report:
        if drop_widths or drop_heights:
            return dropping.drop(sessions, chosen, files, drop_widths, drop_heights, report)
        mappers = mappers_of(chosen)
        job = thumbnails_job(sessions, mappers, ALL_KEYS, files, widths, heights, ratios, presets)
        ahead = Ahead(checkpoint, job, sessions, mappers, originals=True)

        with checked():
            if secret is not None:
                files.variants = Variants(secret, presets_only=presets_only)
            made_ones = make_thumbnails(
                sessions,
                chosen,
                files,
                widths=widths,
                heights=heights,
                ratios=ratios,
                presets=presets,
                only_missing=only_missing,
                workers=workers,
                checkpoint=checkpoint,
                on_error=partial(fail_image, report),
            )

        def end(status: Status) -> Status:
            failed = report.counts["failed"]
            if failed:
                report.note("To try again what failed, run the same with --only-missing.")
            line = f"{originals:,} originals: {done:,} made, {failed:,} failed"
            counts = {"originals": originals, "made": done, "failed": failed, "passed_over": ahead.passed_over}
            return report.end(status, line, **counts)

        if checkpoint is not None:
            advice = f"Run the same again, and it goes on from {checkpoint}."
        elif only_missing:
            advice = "What was made stays: run the same again to go on."
        else:
            advice = "What was made stays: with --only-missing it goes on, if none of these sizes were there before."
        with ending(report, end, advice):
            ahead.look(report)
            report.begin("making", ahead.count)
            for made in made_ones:
                originals, done = originals + 1, done + len(made.thumbnails) + len(made.variants)
                report.advance()
        return end(Status.FOUND if report.counts["failed"] else Status.FINE)


@group.command(epilog=_STATUSES)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_as_json
def inspect(files: tuple[Path, ...], as_json: bool) -> Status:
    """Tell what the library sees in FILES, and whether it accepts them by its default policy.

    No database is needed, and no pixel is decoded.
    """
    is_refused = False
    with Report(as_json) as report:
        for path in files:
            try:
                seen = inspect_file(path)
            except OSError as error:
                raise click.FileError(str(path), error.strerror or str(error)) from error
            is_refused |= not seen.is_accepted
            report.show("file", seen.lines(), **seen.fields())
    return Status.FOUND if is_refused else Status.FINE


@group.command(epilog=_STATUSES)
@click.argument("photos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
def demo(photos: tuple[Path, ...], port: int) -> Status:
    """Show PHOTOS, or some drawings, in several sizes at http://127.0.0.1:8000.

    Database and store are in a temporary folder, which is removed at the end.
    """
    from .demo import serve

    serve(photos, port)
    return Status.FINE


def run() -> int:
    """Run the command with the arguments of the process.

    :returns: the exit status
    """
    _prepare_outputs()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # One that is ignored, as by nohup, stays so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)
    try:
        status = group.main(standalone_mode=False)
        return int(status or Status.FINE)
    except click.ClickException as error:
        error.show()
        return Status.USAGE
    except Terminated:
        print("Terminated.", file=sys.stderr)
        return Status.TERMINATED
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return Status.INTERRUPTED
    except Ended as ended:
        return ended.status
    except Exception:
        print(without_secrets(traceback.format_exc()), file=sys.stderr)
        return Status.DEFECT


def _prepare_outputs() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # It was closed before the command began.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _terminate(*_: object) -> None:
    raise Terminated
