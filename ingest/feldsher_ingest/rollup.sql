-- Roll-ups of dense days. A day is always computed anew from its readings: order and repetition change nothing.

-- name: turn
-- Lets one at a time roll up.
select pg_advisory_xact_lock(hashtext('vital_rollup'));

-- name: take
-- Takes days that are due, the longest waiting first.
with taken as (
    delete from vital_due where ctid = any(array(
        select ctid from vital_due order by at limit %(limit)s))
    returning source, day
)
select source, day from taken
-- days whose readings have gone by a policy keep what was made of them
where day > coalesce((select (now() - keep)::date from retention_policy where kind = 'vitals'), '-infinity'::date)
group by source, day order by source, day;

-- name: count
-- Counts the readings of days.
select d.source, d.day, r.n
from unnest(%(source)b::int4[], %(day)s::date[]) as d(source, day)
cross join lateral (
    select count(*)::int4 as n from vital_reading v
    where v.source = d.source
      and v.time >= d.day::timestamp at time zone 'UTC' and v.time < (d.day + 1)::timestamp at time zone 'UTC'
      and v.key_time >= %(key_from)s and v.key_time < %(key_to)s
) r;

-- name: forget!
-- Forgets what was made of days.
with d as (select * from unnest(%(source)b::int4[], %(day)s::date[]) as d(source, day)),
dense as (delete from vital_dense t using d where (t.source, t.day) = (d.source, d.day))
delete from vital_rollup t using d where (t.source, t.day) = (d.source, d.day);

-- name: make!
-- Makes minutes, hours and the day of dense days.
with d as (select * from unnest(%(source)b::int4[], %(day)s::date[], %(n)b::int4[]) as d(source, day, n)),
dense as (insert into vital_dense (source, day, readings) select source, day, n from d),
vals as (
    select d.source, d.day, h.codes[i] as code, coalesce(v.corrected_time, v.time) as taken_at, v.value[i] as value
    from d
    join vital_reading v on v.source = d.source
     and v.time >= d.day::timestamp at time zone 'UTC' and v.time < (d.day + 1)::timestamp at time zone 'UTC'
     and v.key_time >= %(key_from)s and v.key_time < %(key_to)s
    join vital_shape h on h.no = v.shape
    cross join lateral generate_series(1, cardinality(h.codes)) as i
    where v.value[i] is not null
)
insert into vital_rollup (source, seconds, code, bucket, day, n, low, high, total)
select source, w.seconds, code, date_bin(make_interval(secs => w.seconds), taken_at, '2000-01-01Z'), day,
       count(*), min(value), max(value), sum(value)
from vals cross join (values (60), (3600), (86400)) as w(seconds)
group by source, w.seconds, code, 4, day;
