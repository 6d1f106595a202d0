"""The command `retention`: shown, decided, tried, done."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from feldsher_ingest.cli import app
from typer.testing import CliRunner


def test_retention_is_shown_decided_tried_and_done(
    store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", store_url)
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    run = CliRunner().invoke
    shown = run(app, ["retention", "show"]).output
    assert "for ever (at least 30 days)" in shown
    assert "TimescaleDB: apache" in shown
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(
            "insert into event (kind, gateway, message_id, body, done_at)"
            " values ('gap', 'gw-a', gen_random_uuid(), '{}', now() - interval '9 days')"
        )
        assert "would go: event, 1 entries" in run(app, ["retention", "set", "events", "8"]).output
        assert "1 entries would go" in run(app, ["retention", "run", "--dry-run"]).output
        assert connection.execute("select count(*) from event").fetchone() == (1,)
        assert "1 entries are gone" in run(app, ["retention", "run"]).output
        assert connection.execute("select count(*) from event").fetchone() == (0,)
        assert "8 days" in run(app, ["retention", "show"]).output
        assert "for ever" in run(app, ["retention", "set", "events", "ever"]).output
        assert connection.execute("select count(*) from retention_policy").fetchone() == (0,)
    for wrong in (["events", "1"], ["events", "soon"], ["everything", "90"]):
        result = run(app, ["retention", "set", *wrong])
        assert result.exit_code != 0
        assert isinstance(result.exception, ValueError)
