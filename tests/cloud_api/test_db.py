"""Migrations: from nothing to the newest, twice at once, everything described; and the JSON that keeps digits."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path

import psycopg
import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.config import ConfigError, Settings, from_environment
from feldsher_ingest import sql as ingest_sql

# A landed revision is frozen: whoever needs another schema writes the next one.
INGEST = {
    "0001": "schema.sql",
    "0004": "schema_readings.sql",
    "0005": "schema_gateway.sql",
    "0007": "schema_seats.sql",
    "0008": "schema_rollup.sql",
    "0010": "schema_origin.sql",
    "0011": "schema_streams.sql",
    "0012": "schema_watch.sql",
    "0013": "schema_operations.sql",
    "0015": "schema_spans.sql",
    "0018": "schema_replay.sql",
    "0020": "schema_retention.sql",
    "0021": "schema_watch_due.sql",
    "0024": "schema_received.sql",
    "0026": "schema_told.sql",
}
"""Files of ingest that are part of a revision."""
FROZEN = {
    "0001": "a0fb9508ad2530ad662d7e4463b369747d732245b07d6732678deca121a4b753",
    "0002": "e3bf2ae909a9f3d833aaeb7e75c728e75ef05187ba88abfedb0d26fad5e8219f",
    "0003": "e2a4786e05f431f49fa7f5d7adc8e28b79fb4c4a5f1b339a78fddf1686b7ecc8",
    "0004": "554957946e3c1ebe7ab44e389d715da23ef6546f8a43b02518cab78474a1e7e0",
    "0005": "ee108ab01d9d52184077fa101706dda36c322a10e209334b44fcb643ec377f9f",
    "0006": "f601a99d82b29d3dfe1dcaeab3b2cc4bbe04c1a3b69f22b23eb0dfaac34d9340",
    "0007": "60836e0d993fce7f6c0f641b2869b62bcf939952f22cf18111364beb0b286fa5",
    "0008": "55aa97e8bab6131486832ba0166848d4821294171c325fbbd89c98935f9a0cf3",
    "0009": "4bd66f06a2094f8c2c97299f3bbd12bc4a2f3508a2afbcaf810211dc98090090",
    "0010": "bbb66edf4a3caccaca8b825fd98d81ea1f5ad615717e3ea3f882f62e45b7453f",
    "0011": "96eb089a40ff775fa24d277a6ffb911887dcd695818ea269d0679976f34f92e3",
    "0012": "7262939fc934330b50643537fb8aa67d3e0347e634d3c862c75e36dc1000378d",
    "0013": "e72a5b7ccfaae0e3940067c6b1488491b91a22ea4aa39e63b4e89141d1ed5eb9",
    "0014": "9bbed4338c9bbb2a67a82870c2e29e7a40ddd714edb16e54071ff39ba056dcde",
    "0015": "d5392b63140a1411422f5e49c6a890ff8b6afb8ddee5112c47802357355c4c68",
    "0016": "ea2d19496481dbfc50b7caa96d2a4074e212aac06e2fd9f82058dd814717a15d",
    "0017": "2a4f7665492652c2cd023066606be7bce554984cbdf05e83d629e59f1372376c",
    "0018": "62969c6627c08540d121738bff8c0240bf9ff44fd5756416bc3944dd54e4107d",
    "0019": "e0fda3fef6e8a19c1e2e4268adbf3f1cfc8200d2802435def9636405e7f0289f",
    "0020": "57cdb9ef0f77ba93e032e860684188a8771039b3eda2542bc6494331db3ce163",
    "0021": "2e0699a8cf0c277b99133e3c5e3dc180f62e5ce19764b6c39b6ee418c70441aa",
    "0022": "bade6a742cb42b511595f1d6e84620a53c86aedaa3295290fa7685fad7ce6fac",
    "0023": "77a4c4f3258469469a57ac2e29698a276ea630c82fd501165f8df3c0058d8288",
    "0024": "ad120b12ea4310e85c32b820d5bfe390347bb8117925cdca161ba24f7410382c",
    "0025": "5a8f3bf410042a936daca271e38b4f55a88c90a22938a6052b2b72e5281340d3",
    "0026": "cb12b04ee2f896f16ee37684de62c2bf16a2afd0c009ac19e57c2f0c97326772",
    "0027": "280b4b0d105f6318bda53ac87098c690b6cac5b0984a0674cf406c0ac5ea4599",
    "0028": "200a8ee31cfa5689976814a03d32caec09e533b4613c996cb2c84aac8c91710e",
    "0029": "021365599b45ed1edbd16b210df3e192749b679b7a497b1715213597ebc7e55c",
    "0030": "410a149f54620f349c5412e19b23257214043a6e9c65f147f74deb377d919811",
    "0031": "e77fa0fe88fe06e2184dd6460306078471f1b11abf4c58af7420d0eef9e3d8c6",
}


def _sources(revision: str) -> bytes:
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    names = sorted(f.name for f in own.iterdir() if f.name.startswith(revision))
    texts = [(own / n).read_bytes() for n in names]
    if revision in INGEST:
        texts.append((resources.files("feldsher_ingest") / INGEST[revision]).read_bytes())
    return b"".join(texts)


@pytest.mark.parametrize("revision", sorted(FROZEN))
def test_landed_revision_is_frozen(revision: str) -> None:
    assert hashlib.sha256(_sources(revision)).hexdigest() == FROZEN[revision]


def test_ingests_own_schema_is_that_of_the_revisions() -> None:
    folder = resources.files("feldsher_ingest")
    named = [(folder / INGEST[revision]).read_text(encoding="utf-8") for revision in sorted(INGEST)]
    assert list(ingest_sql.schemas()) == named


def test_two_migrations_at_once_wait_for_each_other(empty_database: str) -> None:
    faults: list[BaseException] = []

    def migrate() -> None:
        try:
            db.migrate(empty_database)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with db.connect(empty_database) as connection:
        assert connection.execute("SELECT version_num FROM public.alembic_version").fetchall() == [(max(FROZEN),)]


LATER = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", {head!r}, None, None


def upgrade() -> None:
    op.execute("alter table event add column later text")
"""


@pytest.fixture
def later(tmp_path: Path) -> Path:
    (tmp_path / "r9999.py").write_text(LATER.format(head=max(FROZEN)))
    return tmp_path


def test_a_migration_waits_for_locks_but_never_long_at_once(database: str, later: Path) -> None:
    with db.connect(database) as busy:
        busy.execute("SELECT FROM event")  # a long report: its transaction stays open
        with pytest.raises(psycopg.errors.LockNotAvailable):
            db.migrate(database, also=later, lock_s=0.01, patience_s=0)
        with db.connect(database) as other:
            other.execute("SELECT FROM event")  # nobody queues behind the migration that gave up
        ending = threading.Timer(0.2, busy.rollback)
        ending.start()
        db.migrate(database, also=later, lock_s=0.01)
        ending.join()
    with db.connect(database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_pool_gets_over_plans_from_before_a_migration(database: str) -> None:
    with db.pool(database, db.WORKER, size=1) as connections, db.connect(database, autocommit=True) as owner:

        def look() -> None:
            with db.asking(connections, user=None, role="manager") as connection:
                connection.execute("SELECT * FROM event")

        for _ in range(10):  # until psycopg prepares it
            look()
        owner.execute("ALTER TABLE event ADD COLUMN later text")
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            look()
        assert db.outdated(caught.value)
        look()


def test_every_table_is_described_and_row_security_covers_the_record(database: str) -> None:
    with db.connect(database) as connection:
        bare = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('cloud', 'fhir') AND c.relkind = 'r' AND obj_description(c.oid) IS NULL"
        ).fetchall()
        open_tables = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'fhir' AND c.relkind = 'r' AND NOT c.relrowsecurity"
        ).fetchall()
    assert bare == []
    assert open_tables == []


def test_json_keeps_the_digits_of_decimals() -> None:
    text = b'{"a":1.10,"b":[0.000000000000000001,-7,12345678901234567890.5],"c":"1.10"}'
    value = db.loads(text)
    assert value["a"] == Decimal("1.10")
    assert db.dumps(value).replace(b"1E-18", b"0.000000000000000001") == text


def test_settings_name_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="FELDSHER_DATABASE_URL"):
        from_environment({})
    with pytest.raises(ConfigError, match="FELDSHER_API_URL"):
        from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_API_URL": "http://clinic.example"})
    with pytest.raises(ConfigError, match="FELDSHER_MQTT_URL"):
        from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_MQTT_URL": "mqtt://h:1"})
    with pytest.raises(ConfigError, match="FELDSHER_REFERENCES: 'perhaps'"):
        from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_REFERENCES": "perhaps"})
    for wrong in ("0", "-5", "ten", "10081", "1e3"):
        with pytest.raises(ConfigError, match="FELDSHER_ORDER_MINUTES"):
            from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_ORDER_MINUTES": wrong})
    set_longer = from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_ORDER_MINUTES": "480"})
    assert set_longer.order_life == timedelta(hours=8)
    settings = from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_API_URL": "https://clinic.example/"})
    assert (settings.api_url, settings.loopback) == ("https://clinic.example", False)
    assert not settings.demo  # a real patient's ECG is never marked DEMO unasked
    assert from_environment({"FELDSHER_DATABASE_URL": "x", "FELDSHER_DEMO": "1"}).demo
    assert Settings("x").gateway_broker() == ("localhost", 8883)
