-- Readings as rows: one row per reading instead of one per value, and what repeats in numbered tables. Three times the
-- rate and a third of the disk (docs/performance.md), and the unique key is local to its chunk, so that the cost of a row
-- does not grow with the table. Executed by a revision of cloud_api/migrations after schema.sql; idempotent; frozen once landed.

create table if not exists vital_source (
    no integer generated always as identity primary key,
    device text not null,
    gateway text not null,
    user_no integer,
    constraint vital_source_key unique nulls not distinct (device, gateway, user_no)
);
comment on table vital_source is 'Who measures: a device, through a gateway, for one of its users. Rows are only ever added.';
comment on column vital_source.no is 'Number, as in vital_reading.source.';
comment on column vital_source.device is 'The device''s address or system id; whose it was is resolved by the cloud from assignment periods.';
comment on column vital_source.gateway is 'The gateway that brought a reading first.';
comment on column vital_source.user_no is 'User number that the device gave; null where it has none.';

create table if not exists vital_shape (
    no integer generated always as identity primary key,
    codes integer[] not null,
    units text[] not null,
    constraint vital_shape_key unique (codes, units),
    constraint vital_shape_pairs check (cardinality(codes) = cardinality(units) and cardinality(codes) > 0)
);
comment on table vital_shape is 'What a reading consists of: its codes and their units. Rows are only ever added.';
comment on column vital_shape.no is 'Number, as in vital_reading.shape.';
comment on column vital_shape.codes is 'What was measured, IEEE 11073 (MDC), in the order of vital_reading.value.';
comment on column vital_shape.units is 'UCUM units, one per code.';

-- No foreign keys: the worker alone writes here, and two look-ups per row would cost a third of the rate.
create table if not exists vital_reading (
    reading_id uuid not null,
    message_id uuid not null,
    key_time timestamptz not null,
    time timestamptz not null,
    received_at timestamptz not null,
    corrected_time timestamptz,
    device_behind_us bigint,
    source integer not null,
    shape integer not null,
    status integer,
    clocked boolean not null,
    value numeric[] not null,
    absent text[],
    statuses integer[],
    sent_at text,
    raw bytea
);
create unique index if not exists vital_reading_key on vital_reading (reading_id, key_time);
create index if not exists vital_reading_source on vital_reading (source, time desc);
comment on table vital_reading is 'One reading per row, with all its values. A reading heard twice, also through two gateways, is one row.';
comment on column vital_reading.reading_id is 'Hash of device, user number, device time as sent, values and sequence (feldsher_ehr_core.ids.reading_id).';
comment on column vital_reading.message_id is 'The message that brought it first.';
comment on column vital_reading.key_time is 'Partition and key: the device''s time as sent, read as if it were UTC and so the same through every gateway; where it sent none, the gateway''s receiving time. Never changes.';
comment on column vital_reading.time is 'The device''s time as sent read in the gateway''s offset, else the gateway''s receiving time; never changes.';
comment on column vital_reading.received_at is 'When the gateway received the reading, by the gateway''s clock.';
comment on column vital_reading.corrected_time is 'Best known true time where it differs in origin from time: the device''s and gateway''s clock errors taken out; null where time stands.';
comment on column vital_reading.device_behind_us is 'Microseconds by which the device''s clock was behind the gateway''s in the session; null where they were not compared.';
comment on column vital_reading.source is 'Device, gateway and user, by number in vital_source.';
comment on column vital_reading.shape is 'Codes and units, by number in vital_shape.';
comment on column vital_reading.status is 'Measurement status bits as the device sent them, where all values have the same.';
comment on column vital_reading.clocked is 'Whether the device sent its time.';
comment on column vital_reading.value is 'The values with the decimals that were sent, in the order of the shape; null where absent says why.';
comment on column vital_reading.absent is 'Why the device sent no number (nan, nres, +inf, -inf, reserved), one per value; null where all are numbers.';
comment on column vital_reading.statuses is 'Status bits of each value, where they differ.';
comment on column vital_reading.sent_at is 'The device''s local time exactly as sent, where it is not key_time to the second.';
comment on column vital_reading.raw is 'The device''s bytes, kept for disputes.';

create table if not exists latest_reading (
    source integer not null,
    shape integer not null,
    reading_id uuid not null,
    key_time timestamptz not null,
    time timestamptz not null,
    corrected_time timestamptz,
    value numeric[] not null,
    absent text[],
    primary key (source, shape)
) with (fillfactor = 50);  -- room for the next version of a row on its own page: an update touches no index
comment on table latest_reading is 'The newest reading per source and shape: last values without searching hypertables.';
comment on column latest_reading.source is 'As in vital_reading.';
comment on column latest_reading.shape is 'As in vital_reading.';
comment on column latest_reading.reading_id is 'The reading.';
comment on column latest_reading.key_time is 'As in vital_reading.';
comment on column latest_reading.time is 'As in vital_reading; an older one never replaces a newer.';
comment on column latest_reading.corrected_time is 'As in vital_reading.';
comment on column latest_reading.value is 'As in vital_reading.';
comment on column latest_reading.absent is 'As in vital_reading.';

comment on table reading is 'Readings without a device time that carry a sequence number: their key time differs from gateway to gateway, so their first arrival is decided here.';

do $$
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        perform create_hypertable('vital_reading', by_range('key_time', interval '7 days'), create_default_indexes => false, if_not_exists => true);
    end if;
end $$;

-- ------------------------------------------------------------------------------------- what earlier revisions stored
do $$
declare
    before bigint;
    after bigint;
begin
    if not exists (select from pg_class where oid = to_regclass('public.vital_sign') and relkind = 'r') then
        return;
    end if;
    insert into vital_source (device, gateway, user_no)
    select distinct device, gateway, user_no from vital_sign on conflict do nothing;
    create temporary table regrouped on commit drop as
    select reading_id, message_id, min(time) as time, min(received_at) as received_at,
           min(corrected_time) as corrected_time, min(device_behind_us) as device_behind_us,
           device, gateway, user_no, array_agg(code order by code, time) as codes, array_agg(unit order by code, time) as units,
           array_agg(value order by code, time) as value, array_agg(absent order by code, time) as absent,
           array_agg(status order by code, time) as statuses, min(sent_at) as sent_at,
           (array_agg(raw) filter (where raw is not null))[1] as raw
    from vital_sign group by reading_id, message_id, device, gateway, user_no;
    insert into vital_shape (codes, units) select distinct codes, units from regrouped on conflict do nothing;
    insert into vital_reading (reading_id, message_id, key_time, time, received_at, corrected_time, device_behind_us,
                               source, shape, status, clocked, value, absent, statuses, sent_at, raw)
    select r.reading_id, r.message_id, coalesce(r.sent_at::timestamp at time zone 'UTC', r.time), r.time, r.received_at,
           r.corrected_time, r.device_behind_us, s.no, h.no,
           case when cardinality(array_remove(r.statuses, r.statuses[1])) = 0 then r.statuses[1] end,
           r.sent_at is not null, r.value,
           case when cardinality(array_remove(r.absent, null)) > 0 then r.absent end,
           case when cardinality(array_remove(r.statuses, r.statuses[1])) > 0 then r.statuses end, r.sent_at, r.raw
    from regrouped r
    join vital_source s on (s.device, s.gateway) = (r.device, r.gateway) and s.user_no is not distinct from r.user_no
    join vital_shape h on (h.codes, h.units) = (r.codes, r.units)
    on conflict do nothing;
    insert into latest_reading (source, shape, reading_id, key_time, time, corrected_time, value, absent)
    select distinct on (source, shape) source, shape, reading_id, key_time, time, corrected_time, value, absent
    from vital_reading order by source, shape, time desc, reading_id
    on conflict do nothing;
    delete from reading g using vital_reading r where r.reading_id = g.reading_id and r.clocked;
    select count(*) from vital_sign into before;
    select coalesce(sum(cardinality(value)), 0) from vital_reading into after;
    if before <> after then
        raise exception 'vital_sign has % values, vital_reading would have %: nothing was changed', before, after;
    end if;
    drop table vital_sign;
    drop table latest_value;
end $$;

-- ------------------------------------------------------------------------------------------------ the values as rows
create or replace view vital_sign as
select r.reading_id, h.codes[i] as code, r.time, r.corrected_time, r.received_at, s.device, s.user_no,
       r.value[i] as value, r.absent[i] as absent, h.units[i] as unit, coalesce(r.statuses[i], r.status) as status,
       case when r.clocked then coalesce(r.sent_at, to_char(r.key_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')) end
           as sent_at,
       r.device_behind_us, case when i = 1 then r.raw end as raw, r.message_id, s.gateway, r.key_time, r.source
from vital_reading r
join vital_source s on s.no = r.source
join vital_shape h on h.no = r.shape
cross join lateral generate_series(1, cardinality(h.codes)) as i;
comment on view vital_sign is 'One value of one reading per row, columns as in vital_reading. Whoever asks by time adds a range of key_time (within 15 hours of time): without it every chunk is looked at.';

create or replace view latest_value as
select distinct on (s.device, h.codes[i], s.user_no)
       s.device, h.codes[i] as code, s.user_no, l.reading_id, l.time, l.corrected_time, l.value[i] as value,
       l.absent[i] as absent, h.units[i] as unit
from latest_reading l
join vital_source s on s.no = l.source
join vital_shape h on h.no = l.shape
cross join lateral generate_series(1, cardinality(h.codes)) as i
order by s.device, h.codes[i], s.user_no, l.time desc, l.reading_id;
comment on view latest_value is 'The newest value per device, code and user.';

grant select, insert on vital_source, vital_shape to feldsher_ingest;
grant select, insert, update on vital_reading, latest_reading to feldsher_ingest;
grant select on vital_sign, latest_value to feldsher_ingest;
grant select on vital_source, vital_shape, vital_reading, latest_reading, vital_sign, latest_value to feldsher_worker;
