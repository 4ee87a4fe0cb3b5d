"""The contract of stores, on real servers of the clouds' protocols, and on stores over other stores."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from test_contract import OneFolderStore

from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.cloud import AzureStore
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3SandboxStore, S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore
from sqlalchemy_imageattach.testing import StoreContract


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, s3_server: Any) -> Store:
        return S3Store(
            s3_server.bucket,
            s3_server.access_key,
            s3_server.secret_key,
            prefix=secrets.token_hex(8),
            endpoint_url=s3_server.endpoint_url,
        )


class TestS3SandboxStore(StoreContract):
    @pytest.fixture
    def store(self, s3_server: Any) -> Store:
        return S3SandboxStore(
            s3_server.bucket,
            s3_server.bucket,
            s3_server.access_key,
            s3_server.secret_key,
            underlying_prefix=secrets.token_hex(8),
            overriding_prefix=secrets.token_hex(8),
            endpoint_url=s3_server.endpoint_url,
        )


class TestAzureStore(StoreContract):
    @pytest.fixture
    def store(self, azure_server: Any) -> Store:
        return AzureStore(
            azure_server.container,
            azure_server.account,
            azure_server.key,
            prefix=secrets.token_hex(8),
            endpoint_url=azure_server.endpoint_url,
        )


class TestSandboxStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return SandboxStore(MemoryStore(), MemoryStore())


class TestSandboxOfAStoreWithoutRevisions(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return SandboxStore(MemoryStore(), OneFolderStore(tmp_path))


class TestFallbackStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return FallbackStore(MemoryStore(), MemoryStore())


class TestFallbackToAStoreWithoutRevisions(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FallbackStore(MemoryStore(), OneFolderStore(tmp_path))


class TestRoutingStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return RoutingStore(MemoryStore(), {"another": MemoryStore()})
