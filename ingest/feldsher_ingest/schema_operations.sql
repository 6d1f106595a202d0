-- What operating the database needs to be known in it: which servers it has lived on, and its backups. Idempotent.
-- Executed by a revision of cloud_api/migrations; frozen once landed.

create table if not exists ingest_timeline (
    system text not null,
    timeline integer not null,
    at timestamptz not null default clock_timestamp(),
    worker text not null,
    accepted_at timestamptz,
    primary key (system, timeline)
);
comment on table ingest_timeline is 'The servers that ingest has written to. A replica that is promoted and a backup that is restored go on on a timeline of their own: the first worker that finds one opens an epoch.';
comment on column ingest_timeline.system is 'PostgreSQL''s number of the cluster, as it was given when the cluster was made.';
comment on column ingest_timeline.timeline is 'PostgreSQL''s count of promotions and ends of recovery.';
comment on column ingest_timeline.at is 'When a worker first wrote to it.';
comment on column ingest_timeline.worker is 'Which worker it was.';
comment on column ingest_timeline.accepted_at is 'When somebody said by `feldsher-ingest restored` that this server is to be written to, whatever workers remember.';

create table if not exists database_backup (
    name text primary key,
    kind text not null check (kind in ('full', 'incremental')),
    began_at timestamptz not null,
    ended_at timestamptz not null,
    bytes bigint not null,
    place text not null
);
comment on table database_backup is 'Base backups that were made and verified; a restored database knows those made before it.';
comment on column database_backup.name is 'Name of its folder.';
comment on column database_backup.kind is 'full, or incremental: the changes since the one before.';
comment on column database_backup.began_at is 'When it began.';
comment on column database_backup.ended_at is 'When it was verified: a restore goes to a time after this.';
comment on column database_backup.bytes is 'Its size.';
comment on column database_backup.place is 'Machine and folder that hold it.';

grant select, insert, update on ingest_timeline to feldsher_ingest;
grant select on ingest_epoch to feldsher_ingest;

do $$
begin
    if not exists (select from pg_roles where rolname = 'feldsher_status') then
        begin
            create role feldsher_status login;
        exception when duplicate_object or unique_violation then
            null;  -- roles belong to the whole server: another database's migration has made it
        end;
    end if;
    begin
        grant pg_monitor to feldsher_status;
    exception when insufficient_privilege then
        raise notice 'feldsher_status sees no replication: a superuser may `grant pg_monitor to feldsher_status`';
    end;
end $$;
-- what tells whether all is well, and nothing of anybody: no bodies, no payloads, no values
grant usage on schema public to feldsher_status;
grant select on ingest_seat, ingest_member, ingest_mark, ingest_epoch, ingest_timeline, vital_due, watch_due,
    database_backup to feldsher_status;
grant select (id, at, kind, retry_at, attempts, parked_at, done_at) on event to feldsher_status;
grant select (id, received_at, cause, kind, repaired_at) on dead_letter to feldsher_status;
grant select (gateway, state, outbox_rows, outbox_bytes, oldest_at, seen_at, resend_epoch) on gateway_state
    to feldsher_status;
do $$
begin
    if to_regclass('public.alembic_version') is not null then
        grant select on public.alembic_version to feldsher_status;
    end if;
    if exists (select from pg_namespace where nspname = 'cloud') then
        grant usage on schema cloud to feldsher_status;
    end if;
end $$;
