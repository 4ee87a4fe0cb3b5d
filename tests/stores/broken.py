"""Stores that break the contract, each in its own way, and the test of the contract that has to notice."""

from __future__ import annotations

import io
import time
from urllib.parse import quote

import pytest

from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.testing import StoreContract


class Sound(Store):
    """Written as the guide tells, and the only one here that passes."""

    def __init__(self):
        self.files = {}

    def name(self, *identifiers):
        return "/".join(quote(str(each), safe="") for each in identifiers)

    def put_file(self, file, *identifiers):
        self.files[self.name(*identifiers[:5])] = file.read()

    def get_file(self, *identifiers):
        try:
            return io.BytesIO(self.files[self.name(*identifiers)])
        except KeyError:
            raise OSError("no such file") from None

    def get_url(self, *identifiers):
        return "http://images.example.com/" + self.name(*identifiers)

    def delete_file(self, *identifiers):
        self.files.pop(self.name(*identifiers), None)


class MissingFileIsAnotherError(Sound):
    noticed_by = "test_missing_file_is_an_os_error"

    def get_file(self, *identifiers):
        return io.BytesIO(self.files[self.name(*identifiers)])


class MissingFileIsEmpty(Sound):
    noticed_by = "test_deleted_file_is_missing"

    def get_file(self, *identifiers):
        return io.BytesIO(self.files.get(self.name(*identifiers), b""))


class EmptyFileIsMissing(Sound):
    noticed_by = "test_empty_file_is_a_file"

    def get_file(self, *identifiers):
        if not self.files.get(self.name(*identifiers)):
            raise OSError("no such file")
        return super().get_file(*identifiers)


class FailsToDeleteTwice(Sound):
    noticed_by = "test_deleting_twice_is_silent"

    def delete_file(self, *identifiers):
        del self.files[self.name(*identifiers)]


class DeletesNothing(Sound):
    noticed_by = "test_put_that_fails_fails_the_flush_which_can_be_tried_again"

    def delete_file(self, *identifiers):
        pass


class DeletesTooMuch(Sound):
    noticed_by = "test_each_identifier_tells_files_apart"

    def delete_file(self, *identifiers):
        self.files.clear()


class LeavesTheMimetypeOut(Sound):
    noticed_by = "test_each_identifier_tells_files_apart"

    def name(self, *identifiers):
        return super().name(*identifiers[:4])


class LosesTheSign(Sound):
    noticed_by = "test_each_identifier_tells_files_apart"

    def name(self, object_type, object_id, *others):
        return super().name(object_type, abs(object_id), *others)


class LeavesTheTypeOut(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, *identifiers):
        return super().name(*identifiers[1:])


class KnowsJustAscii(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, object_type, *others):
        return super().name(object_type.encode("ascii", "ignore"), *others)


class CutsTheIdOff(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, object_type, object_id, *others):
        return super().name(object_type, object_id % 2**64, *others)


class MakesTheIdAFloat(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, object_type, object_id, *others):
        return super().name(object_type, float(object_id), *others)


class MultipliesTheSides(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, object_type, object_id, width, height, mimetype):
        return super().name(object_type, object_id, width * height, mimetype)


class PutsNothingBetween(Sound):
    noticed_by = "test_names_that_are_alike_tell_files_apart"

    def name(self, *identifiers):
        return "".join(map(str, identifiers))


class QuotesNoUrl(Sound):
    noticed_by = "test_url_is_quoted"

    def get_url(self, *identifiers):
        return "/".join(map(str, identifiers))


class NeedsTheFileForItsUrl(Sound):
    noticed_by = "test_url_needs_no_file"

    def get_url(self, *identifiers):
        self.get_file(*identifiers)
        return super().get_url(*identifiers)


class EndsAtAMegabyte(Sound):
    noticed_by = "test_files_of_many_megabytes_are_whole"

    def put_file(self, file, *identifiers):
        self.files[self.name(*identifiers[:5])] = file.read(1 << 20)


class ReadsMoreThanItIsAskedFor(Sound):
    noticed_by = "test_files_of_many_megabytes_are_whole"

    def get_file(self, *identifiers):
        file = super().get_file(*identifiers)
        read = file.read
        file.read = lambda size=-1: read()
        return file


class BeginsAtTheBeginning(Sound):
    noticed_by = "test_put_takes_what_is_left_of_the_file_and_leaves_it_open"

    def put_file(self, file, *identifiers):
        file.seek(0)
        super().put_file(file, *identifiers)


class ClosesTheFile(Sound):
    noticed_by = "test_put_takes_what_is_left_of_the_file_and_leaves_it_open"

    def put_file(self, file, *identifiers):
        super().put_file(file, *identifiers)
        file.close()


class NeverReplaces(Sound):
    noticed_by = "test_put_replaces"

    def put_file(self, file, *identifiers):
        self.files.setdefault(self.name(*identifiers[:5]), file.read())


class KeepsAPart(Sound):
    noticed_by = "test_put_that_fails_leaves_nothing"

    def put_file(self, file, *identifiers):
        self.files[self.name(*identifiers[:5])] = b""
        super().put_file(file, *identifiers)


class HidesAFailure(Sound):
    noticed_by = "test_put_that_fails_leaves_nothing"

    def put_file(self, file, *identifiers):
        try:
            super().put_file(file, *identifiers)
        except OSError:
            self.files[self.name(*identifiers[:5])] = b""


class TakesOneAtATime(Sound):
    noticed_by = "test_many_writers_at_once"
    busy = False

    def put_file(self, file, *identifiers):
        assert not self.busy
        self.busy = True
        time.sleep(0.001)  # others may try now
        super().put_file(file, *identifiers)
        self.busy = False


class MixesRevisionsUp(Sound):
    noticed_by = "test_replacement_that_is_rolled_back_leaves_the_old_file"

    def put_file(self, file, *identifiers, revision=None):
        super().put_file(file, *identifiers)

    def get_file(self, *identifiers, revision=None):
        return super().get_file(*identifiers)

    def get_url(self, *identifiers, revision=None):
        return super().get_url(*identifiers)

    def delete_file(self, *identifiers, revision=None):
        super().delete_file(*identifiers)


class TellsNoTimeZone(Sound):
    noticed_by = "test_time_is_that_of_the_files"

    def now(self):
        return super().now().replace(tzinfo=None)


def contract_of(kind):
    class Contract(StoreContract):
        @pytest.fixture
        def store(self):
            return kind()

    Contract.__qualname__ = Contract.__name__ = f"Test{kind.__name__}"
    return Contract


BROKEN = Sound.__subclasses__()

for kind in (Sound, *BROKEN):
    globals()[f"Test{kind.__name__}"] = contract_of(kind)
