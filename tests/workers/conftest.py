"""PostgreSQL for sites of several machines: it may be killed, and keeps what it has said that it keeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgres import Cluster, running_cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with running_cluster(hurries=False) as cluster:
        yield cluster
