-- How the database, its copies and what waits in it stand: for `feldsher-ingest status` and Prometheus. Nothing here
-- needs more than the role feldsher_status may see.

-- name: server
-- The server: its version, TimescaleDB's edition, its timeline, how much it holds, for how long it has run.
select current_setting('server_version') as version,
       coalesce(current_setting('timescaledb.license', true), 'missing') as timescaledb,
       pg_is_in_recovery() as replica,
       case when not pg_is_in_recovery()
            then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
       pg_database_size(current_database()) as bytes,
       extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as up_s;

-- name: revision
-- The revision of the schema.
select version_num as revision from public.alembic_version;

-- name: replicas
-- Who follows this server, and how far behind: bytes of the log not yet replayed, seconds as the replica says.
select application_name as name, host(client_addr) as address, state, sync_state as sync,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8 as behind_bytes,
       coalesce(extract(epoch from replay_lag), 0)::float8 as behind_s
from pg_stat_replication
where not pg_is_in_recovery() and state is not null order by 1, 2;

-- name: blind
-- Whether followers are hidden from us.
select count(*)::int8 as hidden from pg_stat_replication where state is null;

-- name: slots
-- What is kept of the log for whom, read or not.
select slot_name as name, active, coalesce(wal_status, 'unknown') as status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8 as kept_bytes
from pg_replication_slots where not pg_is_in_recovery() order by 1;

-- name: archive
-- The archive of the log.
select current_setting('archive_mode') as mode, archived_count as archived, failed_count as failed,
       extract(epoch from clock_timestamp() - last_archived_time)::float8 as age_s,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) as failing
from pg_stat_archiver;

-- name: backups
-- The newest base backup.
select name, kind, place, bytes, extract(epoch from clock_timestamp() - ended_at)::float8 as age_s
from database_backup order by ended_at desc limit 1;

-- name: workers
-- Worker processes that are there, and which seats they hold.
select m.worker, array(select s.seat from ingest_seat s
                       where s.holder = m.holder and s.held_until > clock_timestamp() order by 1) as seats
from ingest_member m where m.present_until > clock_timestamp() order by 1;

-- name: unheld
-- Seats that somebody had and nobody has now.
select seat from ingest_seat where held_until <= clock_timestamp() order by 1;

-- name: letters
-- Dead letters that wait for somebody, by cause.
select cause, count(*)::int8 as letters, extract(epoch from clock_timestamp() - min(received_at))::float8 as oldest_s
from dead_letter where repaired_at is null group by cause order by cause;

-- name: events
-- What the record has not taken in yet, and what it has given up.
select count(*) filter (where parked_at is null)::int8 as waiting, count(parked_at)::int8 as parked,
       coalesce(extract(epoch from clock_timestamp() - min(at) filter (where parked_at is null)), 0)::float8 as oldest_s
from event where done_at is null;

-- name: rollups
-- Days of sources that are to be rolled up.
select count(*)::int8 as due, coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8 as oldest_s
from vital_due;

-- name: watch
-- Stretches of measurements that are to be judged again.
select count(*)::int8 as due, coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8 as oldest_s
from watch_due;

-- name: gateways
-- Gateways that are there and have something waiting, by their own word.
select gateway, coalesce(outbox_rows, 0) as waiting,
       coalesce(extract(epoch from clock_timestamp() - oldest_at), 0)::float8 as oldest_s
from gateway_state where state = 'online' and outbox_rows > 0;

-- name: resend
-- The newest epoch, and how many gateways that are there have not been asked to send again.
select e.epoch, e.why, extract(epoch from clock_timestamp() - e.at)::float8 as age_s,
       (select count(*) from gateway_state g where g.state = 'online' and g.resend_epoch < e.epoch)::int8 as unasked
from ingest_epoch e order by e.epoch desc limit 1;

-- name: canary
-- Shards whose test alarm has not crossed the whole line for longer than two rounds, and the latest of all crossings.
select count(*) filter (where coalesce(crossed_at, since) + 2 * every < clock_timestamp())::int8 as silent,
       count(*)::int8 as shards, extract(epoch from clock_timestamp() - min(coalesce(crossed_at, since)))::float8 as oldest_s
from cloud.canary;
