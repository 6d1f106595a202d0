-- What one batch of messages becomes in the database. Columns arrive as binary arrays (%(x)b): twice as fast as text
-- (docs/performance.md). Times arrive as microseconds since 1970; float8 holds them exactly until 2106.

-- name: ledger
-- Enters messages into the ledger; returns those that were not there.
insert into message (gateway, id, made_at, kind, boot, seq, mono_ns, clock, device, base_us, key_from, key_to)
select x.gateway, x.id, to_timestamp(x.made_ms::float8 / 1e3::float8), x.kind, x.boot, x.seq, x.mono_ns, x.clock,
       x.device, x.base_us, to_timestamp(x.key_from::float8 / 1e6::float8), to_timestamp(x.key_to::float8 / 1e6::float8)
from unnest(%(gateway)b::text[], %(id)b::uuid[], %(made_ms)b::int8[], %(kind)b::text[], %(boot)b::uuid[],
            %(seq)b::int8[], %(mono_ns)b::int8[], %(clock)b::text[], %(device)b::text[], %(base_us)b::int8[],
            %(key_from)b::int8[], %(key_to)b::int8[])
     as x(gateway, id, made_ms, kind, boot, seq, mono_ns, clock, device, base_us, key_from, key_to)
on conflict do nothing
returning gateway, id;

-- name: copy_ledger!
-- Enters many messages of which probably none is there (ledger.py).
copy message (gateway, id, made_at, kind, boot, seq, mono_ns, clock, device, base_us, key_from, key_to)
from stdin (format binary);

-- name: sources
-- Numbers devices, gateways and users that have none yet; returns the numbers of all that were asked for.
with x as (
    select distinct * from unnest(%(device)b::text[], %(gateway)b::text[], %(user_no)b::int4[]) as x(device, gateway, user_no)
), added as (
    insert into vital_source (device, gateway, user_no) select * from x on conflict do nothing
    returning device, gateway, user_no, no
)
select device, gateway, user_no, no from added
union
select s.device, s.gateway, s.user_no, s.no from vital_source s
join x on (s.device, s.gateway) = (x.device, x.gateway) and s.user_no is not distinct from x.user_no;

-- name: shapes
-- Numbers one combination of codes and units, which may have a number already; returns the number.
with added as (
    insert into vital_shape (codes, units) values (%(codes)b::int4[], %(units)b::text[]) on conflict do nothing
    returning no
)
select no from added
union
select no from vital_shape where codes = %(codes)b::int4[] and units = %(units)b::text[];

-- name: sequenced
-- Enters readings that only a sequence number tells apart; returns those that were not there.
insert into reading (reading_id, message_id, gateway)
select x.reading_id, x.message_id, x.gateway
from unnest(%(reading_id)b::uuid[], %(message_id)b::uuid[], %(gateway)b::text[]) as x(reading_id, message_id, gateway)
on conflict do nothing
returning reading_id, message_id, gateway;

-- name: vitals
-- Stores readings, where some may be there already; returns which were not.
insert into vital_reading (reading_id, message_id, key_time, time, received_at, corrected_time, device_behind_us, source,
                           shape, status, clocked, value, absent, statuses, sent_at, raw)
select x.reading_id, x.message_id, to_timestamp(x.key_us::float8 / 1e6::float8),
       to_timestamp(x.time_us::float8 / 1e6::float8), to_timestamp(x.received_us::float8 / 1e6::float8),
       to_timestamp(x.corrected_us::float8 / 1e6::float8), x.behind_us, x.source, x.shape, x.status, x.clocked,
       x.value::numeric[], x.absent::text[], x.statuses::int4[], x.sent_at, x.raw
from unnest(%(reading_id)b::uuid[], %(message_id)b::uuid[], %(key_us)b::int8[], %(time_us)b::int8[],
            %(received_us)b::int8[], %(corrected_us)b::int8[], %(behind_us)b::int8[], %(source)b::int4[],
            %(shape)b::int4[], %(status)b::int4[], %(clocked)b::bool[], %(value)b::text[], %(absent)b::text[],
            %(statuses)b::text[], %(sent_at)b::text[], %(raw)b::bytea[])
     as x(reading_id, message_id, key_us, time_us, received_us, corrected_us, behind_us, source, shape, status, clocked,
          value, absent, statuses, sent_at, raw)
on conflict do nothing
returning reading_id, message_id, source;

-- name: copy_vitals!
-- Stores many readings of which probably none is there: less than half the cost of `vitals` (bulk.py).
copy vital_reading (absent, statuses, sent_at, raw, reading_id, message_id, key_time, time, received_at, device_behind_us,
                    status, clocked, corrected_time, source, shape, value) from stdin (format binary);

-- name: renew!
-- Renews the latest readings, and says which days have changed.
with due as (
    insert into vital_due (source, day)
    select d.source, date '1970-01-01' + d.day from unnest(%(due_source)b::int4[], %(due_day)b::int4[]) as d(source, day)
)
insert into latest_reading (source, shape, reading_id, key_time, time, corrected_time, value, absent)
select x.source, x.shape, x.reading_id, to_timestamp(x.key_us::float8 / 1e6::float8),
       to_timestamp(x.time_us::float8 / 1e6::float8), to_timestamp(x.corrected_us::float8 / 1e6::float8),
       x.value::numeric[], x.absent::text[]
from unnest(%(source)b::int4[], %(shape)b::int4[], %(reading_id)b::uuid[], %(key_us)b::int8[], %(time_us)b::int8[],
            %(corrected_us)b::int8[], %(value)b::text[], %(absent)b::text[])
     as x(source, shape, reading_id, key_us, time_us, corrected_us, value, absent)
on conflict (source, shape) do update
    set (reading_id, key_time, time, corrected_time, value, absent)
      = (excluded.reading_id, excluded.key_time, excluded.time, excluded.corrected_time, excluded.value, excluded.absent)
    where excluded.time > latest_reading.time;

-- name: recording
-- Stores one cardiogram; returns its id where it was not there.
insert into ecg_recording (id, device, gateway, order_id, fs, leads, uv_per_bit, n, codec, samples, sha256, started_at,
                           ended_at, corrected_started_at, clock, lost, crc_errors, clock_ratio, partial, lead_off,
                           subject, engine, statements, interpretation, not_interpreted, origin)
values (%(id)s, %(device)s, %(gateway)s, %(order_id)s, %(fs)s, %(leads)s, %(uv_per_bit)s, %(n)s, %(codec)s, %(samples)b,
        %(sha256)b, to_timestamp(%(started_us)s::float8 / 1e6::float8), to_timestamp(%(ended_us)s::float8 / 1e6::float8),
        to_timestamp(%(corrected_us)s::float8 / 1e6::float8), %(clock)s, %(lost)s, %(crc_errors)s, %(clock_ratio)s,
        %(partial)s, %(lead_off)s, %(subject)s::jsonb, %(engine)s, %(statements)s::text[], %(interpretation)b,
        %(not_interpreted)s, %(origin)s::jsonb)
on conflict do nothing
returning id;

-- name: recordings_of
-- Tells whose the recordings of some ids are.
select gateway, id from ecg_recording where id = any(%(ids)b::uuid[]);

-- name: stream
-- Enters a piece's continuous ECG, or how far it goes now; returns whether it is new, nothing where it is another's.
insert into ecg_stream as s (stream, gateway, device, fs, leads, uv_per_bit, boot, first_at, last_at, taken_from,
                             taken_until, parts)
select %(stream)s, %(gateway)s, %(device)s, %(fs)s, %(leads)s::text[], %(uv_per_bit)s::float8[], %(boot)s, x.started,
       x.started, x.taken, x.taken + (x.ended - x.started), %(part)s::int4 + 1
from (select to_timestamp(%(started_us)s::float8 / 1e6::float8) as started,
             to_timestamp(%(ended_us)s::float8 / 1e6::float8) as ended,
             to_timestamp(coalesce(%(corrected_us)s, %(started_us)s)::float8 / 1e6::float8) as taken) x
on conflict (stream) do update set
    first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at),
    taken_from = least(s.taken_from, excluded.taken_from), taken_until = greatest(s.taken_until, excluded.taken_until),
    parts = greatest(s.parts, excluded.parts),
    received_at = case when exists (select from ecg_chunk c where c.stream = excluded.stream and c.part + 1 = excluded.parts
                                                             and c.started_at = excluded.first_at)
                       then s.received_at else now() end  -- a repeat is no news
    where (s.gateway, s.device, s.fs, s.leads, s.uv_per_bit)
        = (excluded.gateway, excluded.device, excluded.fs, excluded.leads, excluded.uv_per_bit)
returning s.xmax = 0;

-- name: chunk
-- Stores one piece of a continuous ECG; returns its number where it was not there.
insert into ecg_chunk (stream, part, started_at, ended_at, corrected_started_at, n, codec, samples, sha256, clock, lost,
                       crc_errors, clock_ratio, partial, lead_off, message_id)
values (%(stream)s, %(part)s, to_timestamp(%(started_us)s::float8 / 1e6::float8),
        to_timestamp(%(ended_us)s::float8 / 1e6::float8), to_timestamp(%(corrected_us)s::float8 / 1e6::float8), %(n)s,
        %(codec)s, %(samples)b, %(sha256)b, %(clock)s, %(lost)s, %(crc_errors)s, %(clock_ratio)s, %(partial)s,
        %(lead_off)s::text[], %(message_id)s)
on conflict do nothing
returning part;

-- name: gateways
-- Renews what gateways said of themselves; returns those that have not been asked to resend since the last restore.
insert into gateway_state as g (gateway, state, boot, seq, software, starts, devices, outbox_rows, outbox_bytes,
                                oldest_at, sources, clock, wall_at, connected_seq)
values (%(gateway)s, %(state)s, %(boot)s, %(seq)s::int8, %(software)s, %(starts)s::int8, %(devices)s::text[],
        %(outbox_rows)s, %(outbox_bytes)s, to_timestamp(%(oldest_us)s::float8 / 1e6::float8), %(sources)s::jsonb,
        %(clock)s, to_timestamp(%(wall_us)s::float8 / 1e6::float8), case when %(starts)s::int8 is not null then %(seq)s::int8 end)
on conflict (gateway) do update set
    connected_before = case when excluded.connected_seq is null then g.connected_before
                            when excluded.boot = g.boot then g.connected_seq end,
    connected_seq = coalesce(excluded.connected_seq, g.connected_seq),
    state = excluded.state, boot = excluded.boot,
    seq = case when excluded.boot = g.boot then greatest(g.seq, excluded.seq) else excluded.seq end,
    software = coalesce(excluded.software, g.software), starts = coalesce(excluded.starts, g.starts),
    devices = coalesce(excluded.devices, g.devices),
    outbox_rows = coalesce(excluded.outbox_rows, g.outbox_rows),
    outbox_bytes = coalesce(excluded.outbox_bytes, g.outbox_bytes),
    oldest_at = case when excluded.outbox_rows is null then g.oldest_at else excluded.oldest_at end,
    sources = coalesce(excluded.sources, g.sources), clock = excluded.clock, wall_at = excluded.wall_at, seen_at = now()
    where (excluded.seq >= g.seq and (excluded.boot = g.boot or excluded.state = 'online'))
       -- the broker's word for a gateway was made before its birth; one of an earlier connection is long out of date
       or (excluded.state = 'offline' and excluded.boot = g.boot and excluded.seq >= coalesce(g.connected_before, 0))
       or (excluded.boot <> g.boot and excluded.wall_at > g.wall_at)  -- a gateway on a new disk counts from the start
returning (select old.state from gateway_state old where old.gateway = g.gateway) as was;

-- name: device
-- Keeps one status of a device; returns its message where it was not there.
insert into device_status (message_id, gateway, device, at, state, detail, battery, model, firmware)
values (%(message_id)s, %(gateway)s, %(device)s, to_timestamp(%(wall_us)s::float8 / 1e6::float8), %(state)s, %(detail)s,
        %(battery)s, %(model)s, %(firmware)s)
on conflict do nothing
returning message_id;

-- name: gap
-- Keeps one record of what a gateway dropped; returns its message where it was not there.
insert into gap (message_id, gateway, what, why, count, first_at, last_at, device, readings)
values (%(message_id)s, %(gateway)s, %(what)s, %(why)s, %(count)s, to_timestamp(%(first_us)s::float8 / 1e6::float8),
        to_timestamp(%(last_us)s::float8 / 1e6::float8), %(device)s, %(readings)s)
on conflict do nothing
returning message_id;

-- name: clock
-- Keeps one correction of a gateway's clock; returns its message where it was not there.
insert into clock_offset (message_id, gateway, boot, mono_ns, offset_us, source, base_us, trusted)
values (%(message_id)s, %(gateway)s, %(boot)s, %(mono_ns)s, %(offset_us)s, %(source)s, %(base_us)s, %(trusted)s)
on conflict do nothing
returning message_id;

-- name: offsets
-- Finds the corrections known for boots whose clock was not synced.
select gateway, boot, mono_ns, offset_us, base_us from clock_offset
where (gateway, boot) in (select * from unnest(%(gateway)b::text[], %(boot)b::uuid[])) and trusted;

-- name: unsynced
-- Tells what a boot brought by a clock that was not synced: kinds of messages with data, key times of their readings
-- (null where they are not known: anywhere).
select kind, case when bool_and(key_from is not null) then min(key_from) end,
       case when bool_and(key_to is not null) then max(key_to) end
from message
where gateway = %(gateway)s and boot = %(boot)s and clock <> 'synced' and kind in ('vitals', 'ecg')
group by kind;

-- name: correct_vitals!
-- Recomputes the true time of readings whose gateway's clock became known later; clocks.py says by what.
with late as (
    select m.id, m.device,
           coalesce(
               (select c.base_us - m.base_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is not null
                  and m.base_us is not null
                order by c.mono_ns <= m.mono_ns, abs(c.mono_ns - m.mono_ns) limit 1),
               (select c.offset_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is null
                  and c.mono_ns > m.mono_ns
                order by c.mono_ns limit 1)) as shift
    from message m
    where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'vitals'
      and (m.mono_ns < %(mono_ns)s or %(base_us)s::bigint is not null)
), corrected as (
    update vital_reading v
    set corrected_time = v.time + make_interval(secs => (late.shift
                         + case when v.clocked then v.device_behind_us else 0 end)::float8 / 1e6::float8)
    from late join vital_source s on s.device = late.device and s.gateway = %(gateway)s
    where v.source = s.no and v.message_id = late.id and late.shift is not null
      and (not v.clocked or v.device_behind_us is not null)
      and v.key_time between coalesce(%(key_from)s, '-infinity'::timestamptz)
                         and coalesce(%(key_to)s, 'infinity'::timestamptz)
    returning v.source, v.time
)
insert into vital_due (source, day) select distinct source, (time at time zone 'UTC')::date from corrected;

-- name: correction_due!
-- Has what a boot's messages brought of watched people judged again: before and after it is corrected, where it then is.
insert into watch_due (subject, low, high, cause)
select w.subject, min(coalesce(v.corrected_time, v.time)), max(coalesce(v.corrected_time, v.time)), 'clock'
from message m
join watch_subject w on w.device = watch_key(m.gateway, m.device) and not isempty(w.during)
join vital_source s on s.device = m.device and s.gateway = m.gateway
join vital_reading v on v.source = s.no and v.message_id = m.id
where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'vitals'
  and v.key_time between coalesce(%(key_from)s, '-infinity'::timestamptz)
                     and coalesce(%(key_to)s, 'infinity'::timestamptz)
group by w.subject;

-- name: correction_far!
-- Notes which watched sources' best known times are now far off the times as sent.
insert into watch_moved as o (source, by)
select v.source, max(greatest(v.corrected_time - v.time, v.time - v.corrected_time))
from message m
join vital_source s on s.device = m.device and s.gateway = m.gateway
join vital_reading v on v.source = s.no and v.message_id = m.id
where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'vitals'
  and v.key_time between coalesce(%(key_from)s, '-infinity'::timestamptz)
                     and coalesce(%(key_to)s, 'infinity'::timestamptz)
  and (v.corrected_time - v.time) not between interval '-15 hours' and interval '15 hours'
  and exists (select from watch_subject w where w.device = watch_key(m.gateway, m.device))
group by v.source
on conflict (source) do update set by = excluded.by where excluded.by > o.by;

-- name: correct_latest!
-- Brings corrected times of one gateway's readings into the latest ones.
update latest_reading l set corrected_time = v.corrected_time
from vital_reading v, vital_source s
where s.gateway = %(gateway)s and l.source = s.no and v.reading_id = l.reading_id and v.key_time = l.key_time
  and l.corrected_time is distinct from v.corrected_time
  and v.key_time between coalesce(%(key_from)s, '-infinity'::timestamptz)
                     and coalesce(%(key_to)s, 'infinity'::timestamptz);

-- name: correct_recordings!
-- Recomputes the true start of recordings whose gateway's clock became known later; clocks.py says by what.
with late as (
    select m.id, m.gateway,
           coalesce(
               (select c.base_us - m.base_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is not null
                  and m.base_us is not null
                order by c.mono_ns <= m.mono_ns, abs(c.mono_ns - m.mono_ns) limit 1),
               (select c.offset_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is null
                  and c.mono_ns > m.mono_ns
                order by c.mono_ns limit 1)) as shift
    from message m
    where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'ecg'
      and (m.mono_ns < %(mono_ns)s or %(base_us)s::bigint is not null)
)
update ecg_recording r
set corrected_started_at = r.started_at + make_interval(secs => late.shift::float8 / 1e6::float8)
from late where r.id = late.id and r.gateway = late.gateway and late.shift is not null;

-- name: correct_chunks!
-- Recomputes the true start of pieces whose gateway's clock became known later, as of recordings.
with late as (
    select m.id,
           coalesce(
               (select c.base_us - m.base_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is not null
                  and m.base_us is not null
                order by c.mono_ns <= m.mono_ns, abs(c.mono_ns - m.mono_ns) limit 1),
               (select c.offset_us from clock_offset c
                where c.gateway = m.gateway and c.boot = m.boot and c.trusted and c.base_us is null
                  and c.mono_ns > m.mono_ns
                order by c.mono_ns limit 1)) as shift
    from message m
    where m.gateway = %(gateway)s and m.boot = %(boot)s and m.clock <> 'synced' and m.kind = 'ecg'
      and (m.mono_ns < %(mono_ns)s or %(base_us)s::bigint is not null)
)
update ecg_chunk k
set corrected_started_at = k.started_at + make_interval(secs => late.shift::float8 / 1e6::float8)
from late, ecg_stream s
where s.gateway = %(gateway)s and s.boot = %(boot)s and k.stream = s.stream
  and k.started_at between s.first_at and s.last_at and k.message_id = late.id and late.shift is not null;

-- name: correct_streams!
-- Brings the corrected times of pieces into their streams.
update ecg_stream s
set (taken_from, taken_until)
  = (select coalesce(min(coalesce(c.corrected_started_at, c.started_at)), s.taken_from),
            coalesce(max(coalesce(c.corrected_started_at, c.started_at) + (c.ended_at - c.started_at)), s.taken_until)
     from ecg_chunk c where c.stream = s.stream and c.started_at between s.first_at and s.last_at)
where s.gateway = %(gateway)s and s.boot = %(boot)s;

-- name: events!
-- Tells the cloud worker what is new.
insert into event (kind, gateway, message_id, body)
select x.kind, x.gateway, x.message_id, x.body::jsonb
from unnest(%(kind)b::text[], %(gateway)b::text[], %(message_id)b::uuid[], %(body)b::text[])
     as x(kind, gateway, message_id, body);

-- name: copy_events!
-- Tells the cloud worker of much that is new.
copy event (kind, gateway, message_id, body) from stdin (format binary);

-- name: dead_letter
-- Keeps a message that cannot be stored; the same again is counted.
insert into dead_letter as d (digest, topic, payload, cause, reason, gateway, message_id, kind)
values (%(digest)b, %(topic)s, %(payload)b, %(cause)s, %(reason)s, %(gateway)s, %(message_id)s, %(kind)s)
on conflict (digest) do update set seen = d.seen + 1
returning d.seen = 1;

-- name: mark
-- Counts the batch in the same transaction: what tells a restored database.
insert into ingest_mark as k (worker, batch) values (%(worker)s, 1)
on conflict (worker) do update set batch = k.batch + 1, at = now()
returning batch;

-- name: assume_role
-- Takes the least rights where the connection's user may.
select set_config('role', rolname, false) from pg_roles
where rolname = 'feldsher_ingest' and pg_has_role(current_user, oid, 'member');
