"""A region's years in the store, made directly in SQL: the same columns as the store writes, the same from every seed.

A kit has a cuff (twice a day, four values), an oximeter (twice, two values) and a scale (once): 91 values a week. A
store grows as a region's does, week by week, here from the newest backwards; the kits stay the same. A monitor measures
every 30 seconds for 90 days. The ledger is filled for the newest weeks only: a message meets no other chunk of it than
that of its own making.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import psycopg
from feldsher_ehr_core import vitals
from feldsher_ingest import rollup, rows
from feldsher_ingest.numbers import Numbers
from feldsher_ingest.readings import Columns
from feldsher_ingest.simulate import START_US, SimulatedGateway
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]

WEEK_S = 7 * 86_400
NEWEST = START_US // 1_000_000 // WEEK_S
"""Number of the newest week since 1970; chunks of seven days begin and end with these weeks."""
LEDGER_WEEKS = 5
SLOTS = 35
VALUES_PER_WEEK = 91
"""Of a kit."""
MONITOR = "monitor-1"
MONITOR_DAYS = 90
MONITOR_EVERY_S = 30
_OFFSET_S = 5 * 3600
_PRESSURE = (vitals.SYSTOLIC, vitals.DIASTOLIC, vitals.MEAN, vitals.PULSE)
_OXIMETER = (vitals.SATURATION, vitals.PULSE)
_SCALE = (vitals.WEIGHT,)


@dataclass(frozen=True, slots=True)
class Kit:
    """The names of one kit, as `SimulatedGateway` gives them."""

    number: int

    @property
    def gateway(self) -> str:
        """Its gateway."""
        return f"gw-{self.number:06}"

    @property
    def cuff(self) -> str:
        """Its cuff."""
        return f"cuff-{self.gateway}"


_MADE = f"""
from generate_series(%(slot)s::int, 34) slot
cross join generate_series(%(first)s::int, %(last)s::int) kit
cross join lateral (
    select md5(%(seed)s::text || '/' || kit::text || '/' || %(week)s::text || '/' || slot::text) as digest,
           to_timestamp(%(week)s * {WEEK_S}::float8 + slot / 5 * 86400 + 25200 + slot %% 5 / 3 * 43200
                        + slot %% 5 * 300 + kit * 7919::int8 %% 240) as at,
           slot %% 5 %% 3 as part
    offset 0  -- computed once, not wherever it is named
) d
cross join lateral (
    select (lpad(to_hex((extract(epoch from at) * 1000)::int8), 12, '0') || '7' || substr(digest, 18, 3) || '8'
            || substr(digest, 3, 15))::uuid as message,
           get_byte(decode(substr(digest, 1, 2), 'hex'), 0) as x
    offset 0
) m
"""  # noqa: S608 - of this file's own constants
"""Every reading of some kits in one week: slot 5 n + 0 and 3 are the cuff's, 1 and 4 the oximeter's, 2 the scale's."""

_VALUE = """
case part when 0 then array[115 + x % 60, 72 + x % 30, 87 + x % 30, 62 + x % 40]
          when 1 then array[90 + x % 10, 60 + x % 40] else array[60.0 + x % 40 / 10.0] end::numeric[]
""".replace("%", "%%")

_READINGS = f"""
insert into vital_reading (reading_id, message_id, key_time, time, received_at, source, shape, status, clocked,
                           value)
select digest::uuid, message, at + interval '5 hours', at, at + interval '20 seconds',
       %(source)s + (kit - 1) * 3 + part, (%(shapes)s::int4[])[part + 1], 0, true, {_VALUE}
{_MADE}
"""

_LEDGER = f"""
insert into message (gateway, id, made_at, kind, boot, seq, mono_ns, clock, device, base_us)
select 'gw-' || lpad(kit::text, 6, '0'), message, date_trunc('milliseconds', at), 'vitals', md5(kit::text)::uuid,
       %(week)s * 35 + slot, slot * 1000000000::int8, 'synced',
       (array['cuff', 'oximeter', 'scale'])[part + 1] || '-gw-' || lpad(kit::text, 6, '0'), 0
{_MADE}
"""

_LATEST = f"""
insert into latest_reading (source, shape, reading_id, key_time, time, value)
select %(source)s + (kit - 1) * 3 + part, (%(shapes)s::int4[])[part + 1], digest::uuid,
       at + interval '5 hours', at, {_VALUE}
{_MADE}
"""

_SOURCES = """
insert into vital_source (device, gateway, user_no)
select kind || '-' || gateway, gateway, 1
from generate_series(%(first)s::int, %(last)s::int) kit
cross join lateral (select 'gw-' || lpad(kit::text, 6, '0') as gateway) g
cross join (values ('cuff', 0), ('oximeter', 1), ('scale', 2)) k(kind, place)
order by kit, place
"""

_MONITOR = """
with made as (
    insert into vital_reading (reading_id, message_id, key_time, time, received_at, source, shape, status, clocked,
                               value)
    select md5(digest)::uuid, md5('m' || digest)::uuid, at + interval '5 hours', at, at, %(source)s, %(shape)s, 0, true,
           array[94 + i %% 5, 60 + i %% 37]::numeric[]
    from generate_series(0, %(count)s - 1) i
    cross join lateral (
        select to_timestamp(%(from_s)s + i * %(every)s::float8) as at,
               %(seed)s::text || '/' || %(source)s::text || '/' || %(from_s)s::text || '/' || i::text as digest
        offset 0
    ) t
    returning source, time
)
insert into vital_due (source, day) select distinct source, (time at time zone 'UTC')::date from made
"""


_COPIES = """
insert into ecg_recording (id, device, gateway, fs, leads, uv_per_bit, n, codec, samples, sha256, started_at, ended_at,
                           clock, lost, crc_errors, lead_off)
select gen_random_uuid(), 'kit-' || gateway, gateway, %(fs)s, %(leads)s, %(uv_per_bit)s, %(n)s, %(codec)s, %(samples)b,
       %(sha256)b, to_timestamp(%(started_us)s::float8 / 1e6) - i * interval '30 minutes',
       to_timestamp(%(ended_us)s::float8 / 1e6) - i * interval '30 minutes', 'synced', 0, 0, '{}'
from generate_series(1, %(count)s) i
cross join lateral (select 'gw-' || lpad(i::text, 6, '0') as gateway) g
"""


class Region:
    """A store that is filled step by step; `grow` takes it to more values. The schema is there, its tables empty."""

    def __init__(self, connection: Connection, kits: int, seed: int = 1) -> None:
        self.kits = kits
        self.weeks = 0
        self._seed = seed
        self._monitored = 0
        shapes = (_PRESSURE, _OXIMETER, _SCALE)
        sources, self._shapes = Numbers().resolve(
            connection,
            Columns(
                sources={(MONITOR, "gw-ward", None): 0},
                shapes={(tuple(v.mdc for v in of), tuple(v.unit for v in of)): i for i, of in enumerate(shapes)},
            ),
        )
        self._monitor_source = sources[0]
        connection.execute(_SOURCES.encode(), {"first": 1, "last": kits})
        row = connection.execute(b"select no from vital_source where device = %s", [Kit(1).cuff]).fetchone()
        assert row is not None
        self._params: dict[str, object] = {
            "first": 1,
            "last": kits,
            "seed": seed,
            "shapes": self._shapes,
            "source": row[0],  # three of a kit, one after the other
        }
        connection.execute(_LATEST.encode(), self._params | {"week": NEWEST, "slot": 32})

    def grow(self, connection: Connection, values: int) -> None:
        """Fill up to about so many values: older weeks of all kits, and earlier days of a monitor up to 90."""
        while self.weeks < max(1, round(values / VALUES_PER_WEEK / self.kits)):
            week = self._params | {"week": NEWEST - self.weeks, "slot": 0}
            connection.execute(_READINGS.encode(), week)
            if self.weeks < LEDGER_WEEKS:
                connection.execute(_LEDGER.encode(), week)
            self.weeks += 1
        while self._monitored < min(MONITOR_DAYS, values // 200_000):
            self._monitor(connection)
        connection.execute(b"analyze")

    def _monitor(self, connection: Connection) -> None:
        """Add the day before the first one of the monitor, and roll it up as ingest's own chore does."""
        self._monitored += 1
        params: dict[str, object] = {
            "seed": self._seed,
            "source": self._monitor_source,
            "shape": self._shapes[1],
            "count": 86_400 // MONITOR_EVERY_S,
            "every": MONITOR_EVERY_S,
            "from_s": NEWEST * WEEK_S + 86_400 * (4 - self._monitored),
        }
        connection.execute(_MONITOR.encode(), params)
        rollup.roll_up(connection)

    def recordings(self, connection: Connection, count: int) -> None:
        """Add cardiograms of 12 leads and 10 s: fifty kinds of samples, each row with its own copy."""
        made = SimulatedGateway("gw-ecg", self._seed)
        kinds = [rows.recording(made.recording(), None) for _ in range(min(50, count))]
        copies = _COPIES.encode()
        for kind in kinds:
            connection.execute(copies, kind | {"count": count // len(kinds)})

    def some(self, count: int, seed: int) -> list[Kit]:
        """Return kits drawn at random."""
        generator = random.Random(seed)  # noqa: S311 - repeatable
        return [Kit(generator.randrange(1, self.kits + 1)) for _ in range(count)]
