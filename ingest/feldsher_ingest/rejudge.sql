-- What is due to be judged again (rejudge.py). Times go in and out as microseconds since 1970.

-- name: next
-- What is due of the person and limit that have waited longest.
select d.id, d.subject, d.limit_id, (extract(epoch from d.low) * 1000000)::int8,
       (extract(epoch from d.high) * 1000000)::int8, d.cause
from watch_due d
join (select subject, limit_id from watch_due order by id limit 1) first
  on first.subject = d.subject and first.limit_id is not distinct from d.limit_id
order by d.id;

-- name: put_back!
-- Puts what is due behind everything else that is.
update watch_due set id = default where id = any(%(ids)b::int8[]);

-- name: writers
-- Transactions that are writing messages.
select virtualtransaction from pg_locks
where locktype = 'relation' and relation = 'message'::regclass and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid();

-- name: extent
-- From when to when some devices measured within a time, by times as sent, or took cardiograms.
select (extract(epoch from min(first)) * 1000000)::int8, (extract(epoch from max(last)) * 1000000)::int8
from (
    select f.time as first, l.time as last
    from unnest(%(devices)b::text[], %(gateways)b::text[]) as d(device, gateway)
    join vital_source s on s.device = d.device and (d.gateway is null or s.gateway = d.gateway)
    cross join lateral (
        select v.time from vital_reading v
        where v.source = s.no and v.time between to_timestamp(%(low_us)s::float8 / 1e6::float8)
                                             and to_timestamp(%(high_us)s::float8 / 1e6::float8)
        order by v.time limit 1) f
    cross join lateral (
        select v.time from vital_reading v
        where v.source = s.no and v.time between to_timestamp(%(low_us)s::float8 / 1e6::float8)
                                             and to_timestamp(%(high_us)s::float8 / 1e6::float8)
        order by v.time desc limit 1) l
    union all
    select min(r.started_at), max(r.started_at)
    from unnest(%(devices)b::text[], %(gateways)b::text[]) as d(device, gateway)
    join ecg_recording r on r.device = d.device and (d.gateway is null or r.gateway = d.gateway)
     and r.started_at between to_timestamp(%(low_us)s::float8 / 1e6::float8)
                           and to_timestamp(%(high_us)s::float8 / 1e6::float8)
) x;

-- name: count
-- How many readings some devices have in a time, counted up to so many.
select count(*) from (
    select from unnest(%(devices)b::text[], %(gateways)b::text[]) as d(device, gateway)
    join vital_source s on s.device = d.device and (d.gateway is null or s.gateway = d.gateway)
    join vital_reading v on v.source = s.no
    where v.time between to_timestamp(%(low_us)s::float8 / 1e6::float8) and to_timestamp(%(high_us)s::float8 / 1e6::float8)
    limit %(most)s) x;

-- name: ecgs
-- Interpreted cardiograms of devices in a time.
select r.id, r.device, r.gateway, (extract(epoch from coalesce(corrected_started_at, started_at)) * 1000000)::int8,
       corrected_started_at is not null, interpretation
from unnest(%(devices)b::text[], %(gateways)b::text[]) as d(device, gateway)
join ecg_recording r on r.device = d.device and (d.gateway is null or r.gateway = d.gateway)
where interpretation is not null
  and coalesce(corrected_started_at, started_at) between to_timestamp(%(low_us)s::float8 / 1e6::float8)
                                                     and to_timestamp(%(high_us)s::float8 / 1e6::float8);

-- name: done!
-- Takes away what is done.
delete from watch_due where id = any(%(ids)s);

-- name: go_on!
-- Goes on later from a time.
update watch_due set low = greatest(low, to_timestamp(%(low_us)s::float8 / 1e6::float8)) where id = any(%(ids)s);
