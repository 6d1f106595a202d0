-- How long what is kept.

-- name: policies
-- Every policy.
select kind, extract(epoch from keep)::float8 / 86400, set_at, set_by, ran_at from retention_policy order by kind;

-- name: set_policy!
-- Keeps a kind for so many days from now on.
insert into retention_policy (kind, keep, set_by) values (%(kind)s, %(days)s * interval '1 day', %(by)s)
on conflict (kind) do update set keep = excluded.keep, set_by = excluded.set_by, set_at = now(), ran_at = null;

-- name: forget_policy!
-- Keeps a kind for ever.
delete from retention_policy where kind = %(kind)s;

-- name: drop
-- Does what a policy says, or tells what it would do.
select what, entries, bytes from retention_drop(%(kind)s, %(dry)s);

-- name: due
-- The next policy that has not been done for a day.
select kind from retention_policy
where kind <> 'tier' and (ran_at is null or ran_at < now() - interval '1 day') order by kind limit 1;

-- name: edition
-- Adds the columnstore where TimescaleDB has it; returns the edition.
select columnstore_apply();

-- name: tier_due
-- Whether recordings have not been looked through for a day, and from when on they stay.
select now() - keep from retention_policy
where kind = 'tier' and (ran_at is null or ran_at < now() - interval '1 day');

-- name: tier_done!
-- Recordings have been looked through.
update retention_policy set ran_at = now() where kind = 'tier';

-- name: old_recordings
-- Recordings whose samples are here and that are older than a time, in the order of their ids.
select id, samples, cardinality(leads), n, codec, sha256 from ecg_recording
where id > %(after)s and samples is not null and received_at < %(cut)s order by id limit %(limit)s;

-- name: release!
-- The samples of a recording are in the archive; here they make room.
update ecg_recording set samples = null, archived = %(archived)b where id = %(id)s and sha256 = %(sha256)b;
