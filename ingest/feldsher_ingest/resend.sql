-- Epochs of the database and who has been asked to send again.

-- name: open_epoch
-- Opens an epoch.
insert into ingest_epoch (since, why) values (%(since)s, %(why)s) returning epoch;

-- name: entered
-- Notes a server that workers write to; opens an epoch where it is not the first one.
with before as (
    select system, timeline from ingest_timeline order by at desc limit 1
), fresh as (
    insert into ingest_timeline (system, timeline, worker) values (%(system)s, %(timeline)s, %(worker)s)
    on conflict do nothing returning system, timeline
)
insert into ingest_epoch (since, why)
select null, 'worker ' || %(worker)s::text || ' finds timeline ' || f.timeline || ' of ' || f.system
             || ' after timeline ' || b.timeline || ' of ' || b.system
from fresh f cross join before b
returning epoch;

-- name: accepted
-- Tells whether somebody has said, since a time, that a server is the one to write to.
select 1 from ingest_timeline
where system = %(system)s and timeline = %(timeline)s and accepted_at > coalesce(%(at)s::timestamptz, '-infinity');

-- name: accept!
-- Notes that a server is the one to write to.
insert into ingest_timeline (system, timeline, worker, accepted_at)
values (%(system)s, %(timeline)s, %(worker)s, clock_timestamp())
on conflict (system, timeline) do update set accepted_at = excluded.accepted_at;

-- name: went_back
-- Opens an epoch where this worker remembers more batches than the database holds, unless one was opened since the
-- last of them: then another worker has found the same restore.
insert into ingest_epoch (since, why)
select null, 'worker ' || %(worker)s::text || ' remembers batch ' || %(remembered)s::text || ', the database holds '
             || coalesce(max(k.batch), 0)
from ingest_mark k
where k.worker = %(worker)s
having coalesce(max(k.batch), 0) < %(remembered)s
   and not exists (
       select from ingest_epoch e
       where e.at > coalesce(%(at)s::timestamptz + interval '5 seconds', max(k.at), now() - interval '10 minutes')
   )
returning epoch;

-- name: marked
-- Reads the count of a worker's committed batches.
select batch from ingest_mark where worker = %(worker)s;

-- name: pending
-- Finds gateways that are online and have not been asked in the newest epoch.
select g.gateway, e.epoch, e.since
from gateway_state g,
     (select epoch, since from ingest_epoch order by epoch desc limit 1) e
where g.resend_epoch < e.epoch and g.state = 'online'
order by g.seen_at desc;

-- name: asked!
-- Notes which gateways have been asked.
update gateway_state g set resend_epoch = greatest(g.resend_epoch, x.epoch)
from unnest(%(gateway)b::text[], %(epoch)b::int8[]) as x(gateway, epoch)
where g.gateway = x.gateway;
