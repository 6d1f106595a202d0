-- What may go goes by when it was received: a device with a wrong clock, or a history that comes late, loses nothing that
-- came lately. In pieces, each a transaction of its own. And which key seals the archive. Replaces functions of
-- schema_retention.sql. Idempotent; frozen once landed.

do $$
begin
    if not exists (select from pg_attribute where attrelid = 'vital_reading'::regclass and attname = 'stored_at' and not attisdropped) then
        -- a constant, so that no row is written anew: what is there counts as received now
        execute format('alter table vital_reading add column stored_at timestamptz not null default %L', now());
        alter table vital_reading alter column stored_at set default now();
    end if;
end $$;
comment on column vital_reading.stored_at is 'When ingest''s transaction began (database clock); of readings stored before revision 0024 when that was made.';

alter table retention_policy add column if not exists reached timestamptz;
comment on column retention_policy.reached is 'How far the pass under way has come (of chunks: the end of the last one looked at); null: none is under way.';
comment on column retention_policy.keep is 'What was received longer ago goes; of chunks, where they also end before then.';
grant update (reached) on retention_policy to feldsher_ingest;

-- ---------------------------------------------------------------------------------------------------- what deletes
create or replace function retention_drop_chunk(of_table text, chunk text, starts timestamptz, ends timestamptz, received text, cut timestamptz, dry boolean,
                                                out entries bigint, out bytes bigint)
language plpgsql set lock_timeout = '1s' as $$
declare
    held boolean;
    look text := format('select count(*), coalesce(bool_or(%I >= $1), false), pg_total_relation_size(%L) from %s', received, chunk, chunk);
begin
    execute look into entries, held, bytes using cut;
    if held then
        entries := null;
        return;
    end if;
    if not dry then
        -- once more with nobody writing: what has come in between was received lately
        execute format('lock table %s in access exclusive mode', chunk);
        execute look into entries, held, bytes using cut;
        if held then
            entries := null;
            return;
        end if;
        perform drop_chunks(of_table::regclass, older_than => ends, newer_than => starts);
    end if;
exception when lock_not_available then  -- somebody reads or writes there: next time
    entries := null;
end $$;
comment on function retention_drop_chunk(text, text, timestamptz, timestamptz, text, timestamptz, boolean) is 'Drops a chunk of which nothing was received since a time, or looks whether it would; entries are null where it stays.';

create or replace function retention_chunks(of_kind text, cut timestamptz, beyond timestamptz, dry boolean)
returns table (what text, entries bigint, bytes bigint, reached timestamptz) language plpgsql as $$
declare
    of_table text := case of_kind when 'ledger' then 'message' when 'vitals' then 'vital_reading' when 'streams' then 'ecg_chunk' end;
    received text := case of_kind when 'streams' then 'received_at' else 'stored_at' end;
    bound timestamptz := case of_kind when 'ledger' then ledger_bound(cut) else cut end;
    c record;
begin
    for c in
        select format('%I.%I', k.chunk_schema, k.chunk_name) as name, k.range_start, k.range_end
        from timescaledb_information.chunks k
        where k.hypertable_schema = 'public' and k.hypertable_name = of_table and k.range_end <= bound
          and (beyond is null or k.range_end > beyond)
        order by k.range_end limit case when dry then null else 1 end
    loop
        select d.entries, d.bytes into entries, bytes
        from retention_drop_chunk(of_table, c.name, c.range_start, c.range_end, received, cut, dry) d;
        what := case when entries is not null then format('%s %s to %s', of_table, c.range_start::date, c.range_end::date) end;
        reached := c.range_end;
        return next;
    end loop;
end $$;
comment on function retention_chunks(text, timestamptz, timestamptz, boolean) is 'Looks at the next chunk of a kind that ends before a time (dry: at all) and drops it where nothing in it was received since; what is null where it stays, and no row means that none is left.';

create or replace function retention_rows(of_kind text, cut timestamptz, most integer, dry boolean)
returns table (what text, entries bigint) language plpgsql as $$
declare
    old text := case of_kind
        when 'dead_letters' then 'dead_letter o where o.repaired_at < $1'
        when 'events' then 'event o where o.done_at < $1'
        when 'device_status' then 'device_status o where o.received_at < $1 and exists (select from device_status n
            where (n.device, n.gateway) = (o.device, o.gateway) and n.at > o.at)'
        -- hypertables, where TimescaleDB is missing
        when 'ledger' then 'message o where o.stored_at < $1 and o.made_at < ledger_bound($1)'
        when 'vitals' then 'vital_reading o where o.stored_at < $1 and o.key_time < $1'
        when 'streams' then 'ecg_chunk o where o.received_at < $1 and o.started_at < $1'
    end;
begin
    what := split_part(old, ' ', 1);
    if dry then
        execute 'select count(*) from ' || old into entries using cut;
    else
        execute format('delete from %I where ctid = any (array (select o.ctid from %s limit $2))', what, old) using cut, most;
        get diagnostics entries = row_count;
    end if;
    return next;
end $$;
comment on function retention_rows(text, timestamptz, integer, boolean) is 'Deletes so many rows of a kind that are older than a time, or counts all of them.';

drop function if exists retention_chunks(text, text, timestamptz, boolean);
create or replace function retention_drop(of_kind text, dry boolean default true)
returns table (what text, entries bigint, bytes bigint)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    most constant integer := 10000;
    policy retention_policy;
    cut timestamptz;
    c record;
    until timestamptz;
begin
    if dry then
        select * into policy from retention_policy p where p.kind = of_kind;
    else  -- one at a time
        select * into policy from retention_policy p where p.kind = of_kind for update;
    end if;
    if policy.kind is null or of_kind = 'tier' then
        return;
    end if;
    cut := now() - greatest(policy.keep, retention_least(of_kind));
    if of_kind in ('ledger', 'vitals', 'streams') and to_regclass('timescaledb_information.chunks') is not null then
        for c in select * from retention_chunks(of_kind, cut, case when not dry then policy.reached end, dry) loop
            until := c.reached;
            if c.what is not null then
                what := c.what; entries := c.entries; bytes := c.bytes;
                return next;
            end if;
        end loop;
    else
        select r.what, r.entries into what, entries from retention_rows(of_kind, cut, most, dry) r;
        until := case when entries = most then cut end;
        if entries > 0 then
            return next;
        end if;
    end if;
    if not dry then
        update retention_policy p
        set reached = until, ran_at = case when until is null then now() else p.ran_at end
        where p.kind = of_kind;
    end if;
end $$;
comment on function retention_drop(text, boolean) is 'Does the next piece of what the policy of a kind says (reached is null when all is done), or tells all that it would do. With its owner''s rights: those who call it cannot delete anything else.';
revoke all on function retention_drop(text, boolean), retention_chunks(text, timestamptz, timestamptz, boolean), retention_rows(text, timestamptz, integer, boolean),
    retention_drop_chunk(text, text, timestamptz, timestamptz, text, timestamptz, boolean) from public;
grant execute on function retention_drop(text, boolean) to feldsher_ingest;

-- ------------------------------------------------------------------------------------------------------ the archive
create index if not exists ecg_recording_here on ecg_recording (received_at, id) where samples is not null;

create table if not exists archive_seal (
    one boolean primary key default true check (one),
    key_sha256 bytea not null check (length(key_sha256) = 32),
    made_at timestamptz not null default now(),
    made_on text not null
);
comment on table archive_seal is 'With which key the archive of this database is sealed: one row. No machine writes with another.';
comment on column archive_seal.one is 'There is one archive.';
comment on column archive_seal.key_sha256 is 'SHA-256 of the key, by which a machine knows whether it has it.';
comment on column archive_seal.made_at is 'When the first machine moved recordings into the archive.';
comment on column archive_seal.made_on is 'That machine: it has the key.';
grant select, insert on archive_seal to feldsher_ingest;
grant select on archive_seal to feldsher_worker, feldsher_api;
