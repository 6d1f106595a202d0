"""Under row-level security each class of search is answered from an index (docs/decisions/0016)."""

from __future__ import annotations

import pytest
from feldsher_cloud_api import db
from psycopg import sql
from psycopg.conninfo import make_conninfo

CODE = "terms && ARRAY[fhir.term('code=85354-9')]"
CONDITIONS = {
    "token": ("observation", CODE, "observation_terms_idx"),
    "both tokens": ("observation", "terms @> ARRAY[1::bigint, 2::bigint]", "observation_terms_idx"),
    "date": ("observation", "date && tstzrange('2024-05-01', '2024-05-02')", "observation_date_idx"),
    "date within": ("encounter", "date <@ tstzrange('2024-05-01', '2024-05-02')", "encounter_date_idx"),
    "date before": ("encounter", "date << tstzrange('2024-05-01', '2024-05-02')", "encounter_date_idx"),
    "name": ("patient", "strings LIKE '%\x1fname=ann%'", "patient_strings_idx"),
    "newest first": ("condition", "lower(onset_date) < now()", "condition_lower_id_idx"),
    "changed since": ("condition", "updated > now()", "condition_updated_id_idx"),
    "amount": ("amount", "place = 1 AND code = 2 AND sent_low > 140", "amount_place_"),
    "of any other type": ("other", "terms && ARRAY[3::bigint]", "other_terms_idx"),
}  # fmt: skip


@pytest.mark.parametrize("search", CONDITIONS)
def test_a_search_uses_its_index(database: str, search: str) -> None:
    table, condition, index = CONDITIONS[search]
    with db.connect(database, db.API) as connection:
        connection.execute("SELECT set_config('app.role', 'doctor', false)")
        connection.execute("SET enable_seqscan = off")  # tables are empty: what may be used is the question
        query = sql.SQL("EXPLAIN SELECT id FROM {} WHERE {}").format(
            sql.Identifier("fhir", table),
            sql.SQL(condition),  # pyright: ignore[reportArgumentType]
        )
        plan = "\n".join(str(row[0]) for row in connection.execute(query).fetchall())
    assert index in plan, plan
    assert "Index Cond" in plan, plan


def test_who_is_no_superuser_is_told(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    direct = make_conninfo(database, user=db.API)
    db.leakproof(direct)
    assert "searches_will_be_slow" in capsys.readouterr().out
