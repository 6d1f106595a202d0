-- What the cloud reads of the stored telemetry. Times are the best known: corrected where a correction is known.
-- Bounds of key_time arrive computed: only constants let the planner leave chunks out, and planning a hundred of them
-- takes longer than reading what is in two.

-- name: recording
-- One cardiogram by id.
select id, device, gateway, order_id, fs, leads, uv_per_bit, n, codec, samples, archived, sha256, started_at, ended_at,
       coalesce(corrected_started_at, started_at) as taken_at, clock, lost, crc_errors, clock_ratio, partial, lead_off,
       subject::text as subject, interpretation, not_interpreted, received_at, origin::text as origin
from ecg_recording where id = %(id)s;

-- name: reinterpretation
-- What a later engine says of a recording.
select interpretation from ecg_interpretation
where recording = %(recording)s and engine = %(engine)s and interpretation is not null;

-- name: readings
-- The values of readings by id.
select reading_id, code, time, coalesce(corrected_time, time) as taken_at, received_at, device, user_no, value, absent,
       unit, status, sent_at, message_id, gateway
from vital_sign
where reading_id = any(%(ids)b::uuid[]) and key_time >= coalesce(%(key_from)s, '-infinity'::timestamptz)
  and key_time <= coalesce(%(key_to)s, 'infinity'::timestamptz)
order by reading_id, code, time;

-- name: unsynced
-- First and last key time of the readings that came in one boot of a gateway by a clock that was not synced.
select case when bool_and(key_from is not null) then min(key_from) end,
       case when bool_and(key_to is not null) then max(key_to) end
from message
where gateway = %(gateway)s and boot = %(boot)s and clock <> 'synced' and kind = 'vitals'
having count(*) > 0;

-- name: corrected
-- Those of them whose time is corrected.
select v.reading_id from message m
join vital_source s on s.device = m.device and s.gateway = m.gateway
join vital_reading v on v.source = s.no and v.message_id = m.id
where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'vitals'
  and v.corrected_time is not null and v.key_time >= coalesce(%(key_from)s, '-infinity'::timestamptz)
  and v.key_time <= coalesce(%(key_to)s, 'infinity'::timestamptz);

-- name: clock_trusted
-- Whether a gateway's clock was right enough when it made a message: not unsynced, or its error became known later.
select m.clock <> 'unsynced' or exists (
    select from clock_offset c where c.gateway = m.gateway and c.boot = m.boot and c.trusted
                                 and (c.mono_ns > m.mono_ns or c.base_us is not null))
from message m
where m.gateway = %(gateway)s and m.id = %(id)s and m.made_at = to_timestamp(%(made_ms)s::float8 / 1e3::float8);

-- name: clocks_trusted
-- Of which messages it was.
select m.gateway, m.id
from unnest(%(gateways)s::text[], %(ids)s::uuid[], %(made_ms)s::int8[]) as x(gateway, id, made_ms)
join message m on m.gateway = x.gateway and m.id = x.id and m.made_at = to_timestamp(x.made_ms::float8 / 1e3::float8)
where m.clock <> 'unsynced' or exists (
    select from clock_offset c where c.gateway = m.gateway and c.boot = m.boot and c.trusted
                                 and (c.mono_ns > m.mono_ns or c.base_us is not null));

-- name: vitals_range
-- The values of devices from one time to before another, by key time.
select r.reading_id, h.codes[i] as code, r.time, coalesce(r.corrected_time, r.time) as taken_at, r.received_at, s.device,
       s.user_no, r.value[i] as value, r.absent[i] as absent, h.units[i] as unit,
       coalesce(r.statuses[i], r.status) as status,
       case when r.clocked then coalesce(r.sent_at, to_char(r.key_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')) end
           as sent_at,
       r.message_id, s.gateway
from vital_source s
cross join lateral (
    select * from vital_reading v
    where v.source = s.no and v.time >= %(start)s and v.time < %(end)s
      and v.key_time >= %(key_from)s and v.key_time < %(key_to)s
    offset 0  -- source by source through the index: as a join it is planned for many rows, with workers to be started
) r
join vital_shape h on h.no = r.shape
cross join lateral generate_series(1, cardinality(h.codes)) as i
where s.device = any(%(devices)b::text[]) and (%(codes)b::int4[] is null or h.codes[i] = any(%(codes)b::int4[]))
order by r.time, r.reading_id, code
limit %(limit)s;

-- name: latest
-- The newest value per code and user of a device.
select reading_id, code, time, coalesce(corrected_time, time) as taken_at, device, user_no, value, absent, unit
from latest_value where device = %(device)s order by code, user_no;

-- name: trend
-- Values of one code from one time to before another: buckets where a day is rolled up, else each reading by itself.
with src as (
    select no from vital_source where device = any(%(devices)b::text[])
), gaps as (
    select s.no as source, unnest(tstzmultirange(tstzrange(%(start)s, %(end)s)) - coalesce(
        (select range_agg(tstzrange(d.day::timestamp at time zone 'UTC', (d.day + 1)::timestamp at time zone 'UTC'))
         from vital_dense d
         where %(seconds)s > 0 and d.source = s.no
           and d.day between (%(start)s::timestamptz at time zone 'UTC')::date
                         and (%(end)s::timestamptz at time zone 'UTC')::date),
        '{}'::tstzmultirange)) as span
    from src s
), raw as (
    select coalesce(v.corrected_time, v.time) as start, v.value[array_position(h.codes, %(code)s)] as value
    from gaps g
    cross join lateral (
        select * from vital_reading v
        where v.source = g.source and v.time >= lower(g.span) and v.time < upper(g.span)
          and v.key_time >= %(key_from)s and v.key_time < %(key_to)s
        offset 0  -- gap by gap through the index: the planner expects thousands of gaps, and would read whole chunks
    ) v
    join vital_shape h on h.no = v.shape and %(code)s = any(h.codes)
)
select start, 1 as n, value as low, value as high, value as mean from raw where value is not null
union all
select bucket, sum(n)::int4, min(low), max(high), sum(total) / sum(n)
from vital_rollup
where source in (select no from src) and seconds = %(seconds)s and code = %(code)s
  and bucket >= %(start)s and bucket < %(end)s
group by bucket
order by 1;

-- name: measured_days
-- How many readings with a code there are per day in a zone: what a plan of measurements is compared with.
select (coalesce(v.corrected_time, v.time) at time zone %(zone)s)::date as day, count(*)::int4
from vital_source s
cross join lateral (
    select * from vital_reading v
    where v.source = s.no and v.time >= %(start)s and v.time < %(end)s
      and v.key_time >= %(key_from)s and v.key_time < %(key_to)s
    offset 0
) v
join vital_shape h on h.no = v.shape and %(code)s = any(h.codes)
where s.device = any(%(devices)b::text[]) and v.value[array_position(h.codes, %(code)s)] is not null
group by 1 order by 1;

-- name: stream
-- What is known of a continuous ECG.
select stream as id, device, gateway, fs, leads, uv_per_bit, first_at as started_at, last_at, taken_from, taken_until,
       parts, opened_at, received_at
from ecg_stream where stream = %(id)s;

-- name: streams
-- Continuous ECGs of devices that overlap a time, newest first.
select stream as id, device, gateway, fs, leads, uv_per_bit, first_at as started_at, last_at, taken_from, taken_until,
       parts, opened_at, received_at
from ecg_stream
where device = any(%(devices)b::text[]) and taken_from < %(end)s and taken_until > %(start)s
order by taken_from desc, stream limit %(limit)s;

-- name: pieces
-- Where the pieces of a continuous ECG lie, as one text of bytes, eight for each number, the highest first: number, best
-- known start and duration in microseconds, samples, whether it breaks off. A day has thousands.
select string_agg(int8send(part::int8) || int8send(start_us) || int8send(span_us) || int8send(n::int8)
                  || int8send(broken::int4::int8), ''::bytea order by part)
from (
    select distinct on (part) part,
           (extract(epoch from coalesce(corrected_started_at, started_at)) * 1000000)::int8 as start_us,
           (extract(epoch from ended_at - started_at) * 1000000)::int8 as span_us, n, partial is not null as broken
    from ecg_chunk
    where stream = %(stream)s and started_at between %(first)s and %(last)s
      and (%(from)s::timestamptz is null
           or coalesce(corrected_started_at, started_at) >= %(from)s - interval '62 seconds'
              and coalesce(corrected_started_at, started_at) < %(until)s::timestamptz)
    order by part, received_at, started_at) p;

-- name: chunks
-- The samples of pieces of a continuous ECG, by number.
select distinct on (part) part, n, codec, samples, sha256
from ecg_chunk
where stream = %(stream)s and started_at between %(first)s and %(last)s and part between %(low)s and %(high)s
order by part, received_at, started_at;

-- name: stream_trusted
-- Whether the times of all pieces can be trusted: no clock was unsynced, or its error became known later.
select not exists (select from ecg_chunk where stream = %(stream)s and started_at between %(first)s and %(last)s
                                           and clock = 'unsynced' and corrected_started_at is null);

-- name: stream_digest
-- One hash over the hashes of all pieces in their order.
select sha256(coalesce(string_agg(sha256, ''::bytea order by part), ''::bytea))
from (select distinct on (part) part, sha256 from ecg_chunk
      where stream = %(stream)s and started_at between %(first)s and %(last)s
      order by part, received_at, started_at) c;
