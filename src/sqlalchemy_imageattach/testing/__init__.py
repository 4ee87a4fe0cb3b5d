"""What every store has to do, as tests that anybody's store can be run against.

Inherit :class:`StoreContract` in a test module, and give it the store as a fixture::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)

Pytest runs it like any other test class.  Each test uses names of its own, so the store may hold other files, and may
be shared by all tests.  This is the only package that needs pytest.
"""

from __future__ import annotations

import pytest

# Before they are imported: has a test that fails show what it compared.
pytest.register_assert_rewrite(f"{__name__}.contract", f"{__name__}.faults")

from .contract import StoreContract  # noqa: E402

__all__ = ("StoreContract",)
