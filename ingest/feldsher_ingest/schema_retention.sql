-- What may go, and when: policies, and the functions that alone delete. Nothing goes without a policy that names it. And
-- where the Community edition of TimescaleDB is present, the columnstore. Idempotent; frozen once landed.

create or replace function retention_least(of_kind text) returns interval language sql immutable as $$
    select case of_kind when 'ledger' then interval '30 days' when 'dead_letters' then interval '8 days'
                        when 'events' then interval '8 days' when 'device_status' then interval '30 days'
                        when 'vitals' then interval '90 days' when 'streams' then interval '90 days'
                        when 'tier' then interval '30 days' end
$$;
comment on function retention_least(text) is 'The shortest that a kind of data may be kept; null: no such kind. Gateways send again what was receipted within seven days.';

create table if not exists retention_policy (
    kind text primary key check (retention_least(kind) is not null),
    keep interval not null,
    set_at timestamptz not null default now(),
    set_by text not null,
    ran_at timestamptz,
    constraint retention_policy_least check (keep >= retention_least(kind))
);
comment on table retention_policy is 'How long what is kept. A kind without a row here is kept for ever.';
comment on column retention_policy.kind is 'ledger, dead_letters (repaired ones), events (done ones), device_status (all but the newest), vitals, streams; tier: recordings'' samples move to the archive.';
comment on column retention_policy.keep is 'What is older goes.';
comment on column retention_policy.set_at is 'When somebody decided so.';
comment on column retention_policy.set_by is 'Who.';
comment on column retention_policy.ran_at is 'When it was last done.';

alter table ecg_recording alter column samples drop not null;
alter table ecg_recording add column if not exists archived bytea;
comment on column ecg_recording.archived is 'SHA-256 of the coded samples, under which the archive has them; null: they are here.';
do $$
begin
    if not exists (select from pg_constraint where conname = 'ecg_recording_somewhere') then
        alter table ecg_recording add constraint ecg_recording_somewhere check (samples is not null or archived is not null) not valid;
    end if;
end $$;

-- ---------------------------------------------------------------------------------------------------- what deletes
create or replace function retention_chunks(of_table text, of_column text, cut timestamptz, dry boolean)
returns table (what text, entries bigint, bytes bigint) language plpgsql as $$
declare
    c record;
    recent boolean := false;
begin
    if to_regclass('timescaledb_information.chunks') is null then
        execute format('select count(*) from %I where %I < $1', of_table, of_column) into entries using cut;
        if entries > 0 then
            if not dry then
                execute format('delete from %I where %I < $1', of_table, of_column) using cut;
            end if;
            what := of_table;
            return next;
        end if;
        return;
    end if;
    for c in
        select format('%I.%I', k.chunk_schema, k.chunk_name) as name, k.range_start, k.range_end
        from timescaledb_information.chunks k
        where k.hypertable_schema = 'public' and k.hypertable_name = of_table and k.range_end <= cut
        order by k.range_start
    loop
        if of_table = 'message' then
            -- what was stored lately is kept by its gateway for a week after its receipt, however old it is
            execute format('select exists (select from %s where stored_at > now() - interval ''8 days'')', c.name) into recent;
            continue when recent;
        end if;
        execute format('select count(*), pg_total_relation_size(%L) from %s', c.name, c.name) into entries, bytes;
        if not dry then
            perform drop_chunks(of_table::regclass, older_than => c.range_end, newer_than => c.range_start);
        end if;
        what := format('%s %s to %s', of_table, c.range_start::date, c.range_end::date);
        return next;
    end loop;
end $$;
comment on function retention_chunks(text, text, timestamptz, boolean) is 'Drops the chunks of a hypertable that end before a time (rows of a plain table), or tells which they are.';

create or replace function ledger_bound(cut timestamptz) returns timestamptz language sql stable as $$
    select least(cut, (select min(coalesce(oldest_at, seen_at)) - interval '8 days' from gateway_state where seen_at > cut))
$$;
comment on function ledger_bound(timestamptz) is 'Before this no gateway that was heard of since a time can send anything again: nothing older waits in its outbox. Of those silent for longer what they send is told apart by the data''s own keys.';

create or replace function retention_drop(of_kind text, dry boolean default true)
returns table (what text, entries bigint, bytes bigint)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    cut timestamptz;
begin
    select now() - greatest(p.keep, retention_least(of_kind)) into cut from retention_policy p where p.kind = of_kind;
    if cut is null then
        return;
    end if;
    case of_kind
        when 'ledger' then return query select * from retention_chunks('message', 'made_at', ledger_bound(cut), dry);
        when 'vitals' then return query select * from retention_chunks('vital_reading', 'key_time', cut, dry);
        when 'streams' then return query select * from retention_chunks('ecg_chunk', 'started_at', cut, dry);
        when 'dead_letters' then
            select 'dead_letter', count(*) into what, entries from dead_letter d where d.repaired_at < cut;
            if not dry then delete from dead_letter d where d.repaired_at < cut; end if;
        when 'events' then
            select 'event', count(*) into what, entries from event e where e.done_at < cut;
            if not dry then delete from event e where e.done_at < cut; end if;
        when 'device_status' then
            select 'device_status', count(*) into what, entries from device_status s
            where s.received_at < cut and exists (select from device_status n where (n.device, n.gateway) = (s.device, s.gateway)
                                                    and n.at > s.at);
            if not dry then
                delete from device_status s
                where s.received_at < cut and exists (select from device_status n where (n.device, n.gateway) = (s.device, s.gateway)
                                                        and n.at > s.at);
            end if;
        else null;
    end case;
    if entries > 0 then
        return next;
    end if;
    if not dry then
        update retention_policy p set ran_at = now() where p.kind = of_kind;
    end if;
end $$;
comment on function retention_drop(text, boolean) is 'Does what the policy of a kind says, or tells what it would do. With its owner''s rights: those who call it cannot delete anything else.';
revoke all on function retention_drop(text, boolean), retention_chunks(text, text, timestamptz, boolean) from public;
grant execute on function retention_drop(text, boolean) to feldsher_ingest;
grant select, update (ran_at) on retention_policy to feldsher_ingest;

-- ------------------------------------------------------------------------------------------------- the columnstore
create or replace function timescale_edition() returns text language sql stable as $$
    select coalesce(nullif(current_setting('timescaledb.license', true), ''), 'none')
$$;
comment on function timescale_edition() is 'none (plain PostgreSQL), apache, or timescale (Community).';

create or replace procedure columnstore_enable(of_table text, segment_by text, order_by text) language plpgsql as $$
begin
    execute format('alter table %I set (timescaledb.enable_columnstore = true, timescaledb.segmentby = %L, timescaledb.orderby = %L)',
                   of_table, segment_by, order_by);
end $$;
comment on procedure columnstore_enable(text, text, text) is 'Lets old chunks of a hypertable become columns (TimescaleDB 2.18 and later, Community).';

create or replace function columnstore_apply() returns text language plpgsql as $$
declare
    edition text := timescale_edition();
begin
    if edition = 'timescale' then
        -- readings alone: samples are coded already, the ledger is looked into by every message, row security excludes it
        call columnstore_enable('vital_reading', 'source', 'key_time desc, reading_id');
        execute 'call add_columnstore_policy(''vital_reading''::regclass, after => interval ''60 days'', if_not_exists => true)';
    end if;
    return edition;
end $$;
comment on function columnstore_apply() is 'Adds the columnstore of readings older than 60 days and its policy where the Community edition is present; elsewhere nothing. Nothing depends on it. Returns the edition.';

select columnstore_apply();
