"""A program that may do everything, and nothing of what it has written is left for the next test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from feldsher_tools.clinic import Clinic

_CLEAR = """DO $$ DECLARE name text; begun xid8 := current_setting('test.begun')::xid8; BEGIN
    FOR name IN SELECT DISTINCT k.name FROM fhir.kind k LOOP
        EXECUTE format('DELETE FROM fhir.%I WHERE txid >= $1', name) USING begun;
        EXECUTE format('DELETE FROM fhir.%I WHERE txid >= $1', name || '_history') USING begun;
    END LOOP;
END $$"""


@pytest.fixture
def program(clinic: Clinic) -> Iterator[dict[str, str]]:
    """Return headers of a program that may do everything; what it writes is gone afterwards."""
    with clinic.owner() as connection:
        connection.execute(
            "UPDATE cloud.oauth_client SET scopes = scopes || '{system/*.cruds}' WHERE person IS NOT NULL"
        )
        begun = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    token = clinic.program_token("system/*.cruds")
    yield {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
    with clinic.owner() as connection:
        connection.execute("SELECT set_config('test.begun', %s, false)", begun)
        connection.execute(_CLEAR)
