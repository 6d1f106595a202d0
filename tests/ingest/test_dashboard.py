"""Dashboard and alert rules: of metrics that exist, with a runbook's heading for each alert."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.config import Settings as CloudSettings
from feldsher_cloud_api.metrics import Metrics as CloudMetrics
from feldsher_ingest import looked, sql, standing, status
from feldsher_ingest.metrics import Metrics
from feldsher_ingest.standing import Standing
from feldsher_tools.place import ServiceError, fetch
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
_NAME = re.compile(r"\bfeldsher_[a-z_]+")
_PROBLEM = re.compile(r'Problem\("([a-z-]+)"')


def _alerts() -> list[dict[str, Any]]:
    groups = msgspec.yaml.decode((OPERATIONS / "alerts-ingest.yaml").read_bytes())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _queries() -> list[str]:
    panels = msgspec.json.decode((OPERATIONS / "grafana-ingest.json").read_bytes())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def _names(families: Iterable[Metric]) -> set[str]:
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + end for family in families for end in ends.get(family.type, ("",))}


@pytest.fixture
def metrics(store_url: str, tmp_path: Path) -> set[str]:
    """The names of all metrics that workers and the cloud tell."""
    queries = sql.load("standing.sql")
    columns = {"name", "cause", *re.findall(r"\bas (\w+)", b"".join(queries.values()).decode())}
    row: dict[str, Any] = dict.fromkeys(columns, 1.0) | {"seats": [0], "gateway": "gw-0"}
    seen = {name: [row] for name in queries}
    with db.pool(store_url, db.API) as pool:
        cloud = _names(CloudMetrics(CloudSettings(store_url), pool).registry.collect())
    own = _names(Metrics(CollectorRegistry()).registry.collect())
    return own | cloud | _names(looked.families(Standing(seen))) | _names(looked.Looked("", tmp_path).collect())


def test_every_metric_that_is_drawn_or_alarmed_on_exists(metrics: set[str]) -> None:
    asked = {name for query in (*_queries(), *(rule["expr"] for rule in _alerts())) for name in _NAME.findall(query)}
    assert len(asked) > 30
    assert asked - metrics == set()


def test_every_alert_and_every_problem_has_its_heading_in_the_runbook() -> None:
    text = (OPERATIONS / "ingest.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    alerts = {rule["annotations"]["runbook"].removeprefix("docs/operations/ingest.md#") for rule in _alerts()}
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (standing, status)]
    problems = {code for source in sources for code in _PROBLEM.findall(source)}
    links = set(re.findall(r"\]\(#([a-z0-9-]+)\)", text))
    assert len(problems) > 10
    assert (alerts | problems | links) - anchors == set()


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    panels = msgspec.json.decode((OPERATIONS / "grafana-ingest.json").read_bytes())["panels"]
    taken = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]


@pytest.mark.slow
def test_prometheus_itself_takes_the_rules() -> None:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if architecture is None:
        pytest.skip(f"Debian has no promtool for {platform.machine()}")
    try:
        folder = fetch("promtool", architecture, ["prometheus"])
    except ServiceError as error:
        pytest.skip(f"promtool cannot be fetched from Debian's archive: {error}")
    rules = OPERATIONS / "alerts-ingest.yaml"
    done = subprocess.run([folder / "usr/bin/promtool", "check", "rules", rules], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
