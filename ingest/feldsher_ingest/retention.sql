-- How long what is kept.

-- name: policies
-- Every policy.
select kind, extract(epoch from keep)::float8 / 86400, set_at, set_by, ran_at from retention_policy order by kind;

-- name: set_policy!
-- Keeps a kind for so many days from now on.
insert into retention_policy (kind, keep, set_by) values (%(kind)s, %(days)s * interval '1 day', %(by)s)
on conflict (kind) do update set keep = excluded.keep, set_by = excluded.set_by, set_at = now(), ran_at = null, reached = null;

-- name: forget_policy!
-- Keeps a kind for ever.
delete from retention_policy where kind = %(kind)s;

-- name: drop
-- Does the next piece of what a policy says, or tells all that it would do.
select what, entries, bytes from retention_drop(%(kind)s, %(dry)s);

-- name: due
-- The next policy that has not been done for a day.
select kind from retention_policy
where kind <> 'tier' and (ran_at is null or ran_at < now() - interval '1 day') order by kind limit 1;

-- name: under_way
-- Whether a pass by a policy has come only so far.
select reached is not null from retention_policy where kind = %(kind)s;

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
-- Recordings whose samples are here and that were received before a time, in that order, from one of them on.
select received_at, id, samples, cardinality(leads), n, codec, sha256 from ecg_recording
where samples is not null and received_at < %(cut)s and (received_at, id) > (%(received)s, %(id)s)
order by received_at, id limit %(limit)s;

-- name: seal_alone
-- Keeps others from deciding at the same time with which key the archive is sealed.
select pg_advisory_xact_lock(hashtext('archive_seal'));

-- name: seal
-- With which key the archive is sealed, since when, and which machine has it.
select key_sha256, made_at, made_on from archive_seal;

-- name: archived_any
-- Whether any recording's samples are in the archive.
select exists (select from ecg_recording where archived is not null);

-- name: seal_with!
-- The archive is sealed with this key from now on.
insert into archive_seal (key_sha256, made_on) values (%(key_sha256)b, %(made_on)s);

-- name: release!
-- The samples of a recording are in the archive; here they make room.
update ecg_recording set samples = null, archived = %(archived)b where id = %(id)s and sha256 = %(sha256)b;
