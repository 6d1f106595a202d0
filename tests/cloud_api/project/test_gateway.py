"""What a gateway reports of itself is kept, newest word last, and stops nothing in the worker."""

from __future__ import annotations

from typing import Any

from feldsher_cloud_api import provision, worker
from feldsher_ehr_core import wire
from feldsher_tools.clinic import HOME, Clinic


def report(clinic: Clinic) -> dict[str, Any]:
    with clinic.owner() as connection:
        return next(row[-1] for row in provision.gateways(connection) if row[0] == HOME)


def told(clinic: Clinic, **fields: Any) -> wire.Reported:
    return wire.Reported(env=clinic.envelope(), software="feldsher-edge 0.2", **fields)


def test_the_newest_report_is_kept_and_no_event_is_given_up(clinic: Clinic) -> None:
    clinic.receive(told(clinic, config=3, config_state="applied", slot="a"))
    assert clinic.work() >= 1
    clinic.receive(told(clinic, config=3, config_wanted=4, config_state="refused", config_detail="$.kit[0].port"))
    clinic.work()
    found = report(clinic)
    assert (found["config"], found["config_wanted"], found["config_state"]) == (3, 4, "refused")
    assert found["config_detail"] == "$.kit[0].port"
    assert found["slot"] is None
    with clinic.owner() as connection:
        assert worker.parked_count(connection) == 0
        assert connection.execute("SELECT count(*) FROM public.event WHERE done_at IS NULL").fetchone() == (0,)


def test_an_older_report_that_arrives_late_changes_nothing(clinic: Clinic) -> None:
    clinic.receive(told(clinic, config=1))
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET at = at - interval '1 hour' WHERE kind = 'reported'")
    late = told(clinic, config=2)
    clinic.receive(late)
    with clinic.owner() as connection:  # the newer one is projected first
        connection.execute("UPDATE public.event SET retry_at = now() + interval '1 hour' WHERE body ->> 'config' = '1'")
    clinic.work()
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET retry_at = now()")
    clinic.work()
    assert report(clinic)["config"] == 2


def test_the_end_of_an_earlier_connection_does_not_put_a_gateway_offline(clinic: Clinic) -> None:
    """As when the ledger of messages has been pruned: to ingest, the old word is a new message."""
    first = wire.Death(env=clinic.envelope(), cause="will")
    for _ in range(2):
        clinic.receive(wire.Birth(env=clinic.envelope(), software="t", starts=1))
    clinic.work()
    clinic.receive(first)
    clinic.work()
    query = "SELECT state FROM cloud.gateway WHERE id = %s"
    with clinic.owner() as connection:
        assert connection.execute(query, (HOME,)).fetchone() == ("online",)
    clinic.receive(wire.Death(env=clinic.envelope(), cause="stopping"))
    clinic.work()
    with clinic.owner() as connection:
        assert connection.execute(query, (HOME,)).fetchone() == ("offline",)
