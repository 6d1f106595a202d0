-- The watch within the transaction of a batch, and what it leaves to the chore.

-- name: lock
-- Waits for whoever judges the same people, in one order, and keeps them until the transaction ends.
select pg_advisory_xact_lock(hashtext('watch'), x) from unnest(%(people)s::int4[]) as x;

-- name: postpone!
-- Has stretches of people's measurements due for one limit each.
insert into watch_due (subject, limit_id, low, high, cause)
select x.subject, x.limit_id, to_timestamp(x.low_us::float8 / 1e6::float8), to_timestamp(x.high_us::float8 / 1e6::float8),
       'arrival'
from unnest(%(subject)b::uuid[], %(limit)b::uuid[], %(low_us)b::int8[], %(high_us)b::int8[])
     as x(subject, limit_id, low_us, high_us);

-- name: postpone_all!
-- Has stretches of devices' measurements due for everybody whose devices these are.
insert into watch_due (subject, low, high, cause)
select w.subject, min(to_timestamp(x.low_us::float8 / 1e6::float8)), max(to_timestamp(x.high_us::float8 / 1e6::float8)),
       'arrival'
from unnest(%(device)b::text[], %(low_us)b::int8[], %(high_us)b::int8[]) as x(device, low_us, high_us)
join watch_subject w on w.device = x.device and not isempty(w.during)
group by w.subject;

-- name: moved!
-- Notes by how much sources' best known times are off the times as sent, where that is more than was known.
insert into watch_moved as w (source, by)
select s.no, make_interval(secs => x.by_us::float8 / 1e6::float8)
from unnest(%(device)b::text[], %(gateway)b::text[], %(user_no)b::int4[], %(by_us)b::int8[])
     as x(device, gateway, user_no, by_us)
join vital_source s on s.device = x.device and s.gateway = x.gateway and s.user_no is not distinct from x.user_no
order by s.no
on conflict (source) do update set by = excluded.by where excluded.by > w.by;
