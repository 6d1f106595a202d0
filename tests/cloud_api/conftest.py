"""The demo clinic: one seeded database for all tests of the cloud, emptied of what was measured for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feldsher_tools import clinic as clinics
from feldsher_tools.clinic import Clinic
from feldsher_tools.postgres import DatabaseServer


@pytest.fixture(scope="session")
def clinic_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of the demo clinic, with its secrets."""
    return tmp_path_factory.mktemp("clinic")


@pytest.fixture(scope="session")
def clinic_database(
    postgres: DatabaseServer, migrated_template: str, clinic_state: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The seeded database, and what seeding returned."""
    name = f"feldsher_clinic_{os.getpid()}"
    url = postgres.create_database(name, migrated_template)
    yield url, clinics.seed(url, clinic_state)
    postgres.drop_database(name)


@pytest.fixture
def clinic(clinic_database: tuple[str, dict[str, Any]], clinic_state: Path) -> Iterator[Clinic]:
    """The demo clinic with its application running and nothing measured yet."""
    url, made = clinic_database
    with clinics.running(url, clinic_state, made) as running:
        yield running
