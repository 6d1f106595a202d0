-- The watch: whose measurements are watched, by what limits, and the alerts that came of it (watch.py). The record
-- fills watch_subject and watch_limit; ingest alone writes alerts. Idempotent. Executed by a revision of
-- cloud_api/migrations; frozen once landed.

create extension if not exists btree_gist;

create table if not exists watch_epoch (
    one boolean primary key default true check (one),
    epoch bigint not null default 0,
    by xid8
);
insert into watch_epoch default values on conflict do nothing;
comment on table watch_epoch is 'One row: counts transactions that changed who is watched or by what limits. Workers keep what they know as long as it stands.';
comment on column watch_epoch.one is 'There is one row.';
comment on column watch_epoch.epoch is 'The count. Whoever changes holds the row until it commits, so that counts become visible in their order.';
comment on column watch_epoch.by is 'The transaction that counted last: it counts once, however much it changes.';

create table if not exists watch_subject (
    id uuid primary key default gen_random_uuid(),
    device text not null,
    user_no integer,
    users int4range generated always as (
        case when user_no is null then int4range(null, null) else int4range(user_no, user_no, '[]') end) stored,
    subject uuid not null,
    during tstzrange not null,
    epoch bigint not null default 0,
    constraint watch_subject_one_at_a_time exclude using gist (device with =, users with &&, during with &&)
);
create index if not exists watch_subject_of on watch_subject (subject);
create index if not exists watch_subject_epoch on watch_subject (epoch);
comment on table watch_subject is 'Whose measurements a device makes, for those who are under monitoring. Never deleted: a period that never was is empty.';
comment on column watch_subject.id is 'Given by the record: that of the assignment.';
comment on column watch_subject.device is 'The device''s address or system id, as in vital_source.';
comment on column watch_subject.user_no is 'The user number of a shared device; null: the device is theirs alone, whatever number it sends.';
comment on column watch_subject.users is 'The user numbers that it covers.';
comment on column watch_subject.subject is 'Who is watched: an opaque id that the record knows.';
comment on column watch_subject.during is 'For measurements of this period, by their best known time.';
comment on column watch_subject.epoch is 'The count at which it last changed.';

create table if not exists watch_limit (
    id uuid not null,
    version integer not null check (version > 0),
    subject uuid,
    rule jsonb not null,
    severity text not null check (severity in ('urgent', 'warning', 'note')),
    zone text not null default 'UTC',
    during tstzrange not null,
    review_at timestamptz,
    set_by uuid,
    set_at timestamptz not null default now(),
    ended_by uuid,
    ended_at timestamptz,
    epoch bigint not null default 0,
    primary key (id, version),
    constraint watch_limit_one_version exclude using gist (id with =, during with &&)
);
create index if not exists watch_limit_of on watch_limit (subject);
create index if not exists watch_limit_epoch on watch_limit (epoch);
comment on table watch_limit is 'Limits, every version of each. Which version judges a measurement is decided by its time. Never deleted: what an alert names stays readable.';
comment on column watch_limit.id is 'The limit: the same through all its versions, so that a measurement makes one alert of it.';
comment on column watch_limit.version is 'Counts from 1.';
comment on column watch_limit.subject is 'Whose it is, as in watch_subject; null: it holds for everybody (built in).';
comment on column watch_limit.rule is 'What is to raise an alert (feldsher_ehr_core.monitoring.Rule as JSON).';
comment on column watch_limit.severity is 'How much an alert of it weighs: urgent, warning or note.';
comment on column watch_limit.zone is 'IANA time zone of its days.';
comment on column watch_limit.during is 'For measurements of this period. Versions of a limit do not overlap; a version that never held is empty.';
comment on column watch_limit.review_at is 'When a physician is to look at it again: raises an alert of its own once. The limit holds on until its period ends.';
comment on column watch_limit.set_by is 'Who set it: an opaque id; null: built in.';
comment on column watch_limit.set_at is 'When.';
comment on column watch_limit.ended_by is 'Who ended or replaced it before its time.';
comment on column watch_limit.ended_at is 'When that was done.';
comment on column watch_limit.epoch is 'The count at which it last changed.';

create table if not exists watch_alert (
    id uuid primary key,
    limit_id uuid not null,
    version integer not null,
    kind text not null check (kind in ('range', 'both', 'rise', 'missed', 'ecg', 'review', 'absent', 'unreadable')),
    subject uuid,
    about text not null,
    severity text not null,
    reading_id uuid,
    device text,
    gateway text,
    message_id uuid,
    measured_at timestamptz not null,
    arrived_at timestamptz,
    raised_at timestamptz not null default now(),
    late boolean not null,
    cause text not null check (cause in ('arrival', 'limits', 'assignment', 'clock', 'time')),
    doubt text[] not null,
    numbers jsonb not null,
    constraint watch_alert_once unique (limit_id, about),
    foreign key (limit_id, version) references watch_limit
);
create index if not exists watch_alert_of on watch_alert (subject, measured_at desc);
comment on table watch_alert is 'Alerts, written with their event in the transaction that stored the measurement. One per limit and what it is about, for ever: whatever comes twice, in whatever order, alerts once.';
comment on column watch_alert.id is 'Made of the limit and what it is about (feldsher_ehr_core.monitoring.alert_id): a restored database raises the same again.';
comment on column watch_alert.limit_id is 'The limit that was broken.';
comment on column watch_alert.version is 'Its version that was broken.';
comment on column watch_alert.kind is 'The rule''s kind; review: the limit is due for review; absent: somebody under monitoring has no limits that hold; unreadable: this version of ingest cannot evaluate the rule.';
comment on column watch_alert.subject is 'Whose measurement; null: a cardiogram of a device that is not watched (the record knows by its order).';
comment on column watch_alert.about is 'The reading or cardiogram (its id), or the period, such as missed:2026-11-23, rise:2026-11-23, missed:2026-W48.';
comment on column watch_alert.severity is 'As in the limit.';
comment on column watch_alert.reading_id is 'The reading or cardiogram that completed it; null where time alone did.';
comment on column watch_alert.device is 'The device that measured it.';
comment on column watch_alert.gateway is 'The gateway that brought it first.';
comment on column watch_alert.message_id is 'The message that brought it first.';
comment on column watch_alert.measured_at is 'When it was measured, by the best known time; of a period, its end.';
comment on column watch_alert.arrived_at is 'When ingest''s transaction that stored it began (database clock).';
comment on column watch_alert.raised_at is 'When the transaction that raised the alert began (database clock).';
comment on column watch_alert.late is 'Whether it is no news: measured long before it came, or after something newer of its kind was known.';
comment on column watch_alert.cause is 'What made it known: arrival of a measurement; limits, assignment or clock: one of these changed; time: a period passed.';
comment on column watch_alert.doubt is 'What speaks against it (feldsher_ehr_core.artefact.Doubt); empty: nothing does.';
comment on column watch_alert.numbers is 'The numbers that broke the limit (feldsher_ehr_core.monitoring.Number).';

create table if not exists watch_due (
    id bigint generated always as identity primary key,
    subject uuid not null,
    low timestamptz not null,
    high timestamptz not null,
    limit_id uuid,
    cause text not null check (cause in ('limits', 'assignment', 'clock')),
    at timestamptz not null default now()
);
comment on table watch_due is 'Stretches of somebody''s measurements that are to be judged again, written by the transaction that changed what they are judged by.';
comment on column watch_due.id is 'Number.';
comment on column watch_due.subject is 'As in watch_subject.';
comment on column watch_due.low is 'From this time of measurement on; moved on as the work proceeds.';
comment on column watch_due.high is 'To this one.';
comment on column watch_due.limit_id is 'By this limit alone; null: by all.';
comment on column watch_due.cause is 'As in watch_alert.';
comment on column watch_due.at is 'When it became due.';

create table if not exists watch_checked (
    limit_id uuid primary key,
    until timestamptz not null
);
comment on table watch_checked is 'How far periods in which measurements were expected have been looked at.';
comment on column watch_checked.limit_id is 'The limit.';
comment on column watch_checked.until is 'Periods that were due before this time are done.';

create table if not exists watch_moved (
    source integer primary key,
    by interval not null
);
comment on table watch_moved is 'Sources of watched devices whose measurements'' best known times are further than 15 hours from the times as sent: where to look for them.';
comment on column watch_moved.source is 'As in vital_reading.';
comment on column watch_moved.by is 'By how much at most.';

-- ------------------------------------------------------------------------------------------ what a change brings about
create or replace function watch_turn() returns bigint language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    found bigint;
begin
    update watch_epoch set epoch = epoch + 1, by = pg_current_xact_id() where by is distinct from pg_current_xact_id();
    select epoch into found from watch_epoch;
    return found;
end $$;
comment on function watch_turn is 'Counts this transaction in watch_epoch, once; returns the count.';

create or replace function watch_stamp() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    new.epoch := watch_turn();
    return new;
end $$;
comment on function watch_stamp is 'Notes on a changed row at which count it changed.';
create or replace trigger watch_subject_stamp before insert or update on watch_subject
    for each row execute function watch_stamp();
create or replace trigger watch_limit_stamp before insert or update on watch_limit
    for each row execute function watch_stamp();

create or replace function watch_limit_due() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    if new.subject is null or isempty(new.during)
       or (tg_op = 'UPDATE' and old.during @> new.during and old.rule = new.rule and old.zone = new.zone) then
        return null;
    end if;
    insert into watch_due (subject, low, high, limit_id, cause)
    values (new.subject, greatest(lower(new.during), '1970-01-01Z'), least(upper(new.during), '2106-01-01Z'), new.id, 'limits');
    return null;
end $$;
comment on function watch_limit_due is 'Has what was measured in the period of a new or widened version judged by it.';
create or replace trigger watch_limit_due after insert or update on watch_limit
    for each row execute function watch_limit_due();

create or replace function watch_subject_due() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    if isempty(new.during)
       or (tg_op = 'UPDATE' and old.during @> new.during and old.subject = new.subject and old.device = new.device
           and old.user_no is not distinct from new.user_no) then
        return null;
    end if;
    insert into watch_due (subject, low, high, cause)
    values (new.subject, greatest(lower(new.during), '1970-01-01Z'), least(upper(new.during), '2106-01-01Z'), 'assignment');
    return null;
end $$;
comment on function watch_subject_due is 'Has what a device measured in a new or widened period judged by its subject''s limits.';
create or replace trigger watch_subject_due after insert or update on watch_subject
    for each row execute function watch_subject_due();

create or replace function watch_set_limit(
    of_limit uuid, of_subject uuid, by_rule jsonb, weight text, in_zone text, holds tstzrange, review timestamptz,
    person uuid
) returns integer language plpgsql set search_path = public, pg_temp as $$
declare
    made integer;
begin
    perform pg_advisory_xact_lock(hashtextextended('watch_limit ' || of_limit, 0));
    update watch_limit
    set during = case when lower(during) >= lower(holds) or lower_inf(holds) then 'empty'
                      else tstzrange(lower(during), lower(holds)) end,
        ended_by = person, ended_at = now()
    where id = of_limit and not isempty(during) and (upper_inf(during) or upper(during) > lower(holds) or lower_inf(holds));
    insert into watch_limit (id, version, subject, rule, severity, zone, during, review_at, set_by)
    select of_limit, coalesce(max(version), 0) + 1, of_subject, by_rule, weight, in_zone, holds, review, person
    from watch_limit where id = of_limit
    returning version into made;
    return made;
end $$;
comment on function watch_set_limit is 'Sets a limit from the start of a period on: earlier versions hold until then. Returns the new version. The caller has checked the rule (feldsher_ehr_core.monitoring.decode) and the zone.';

create or replace function watch_end_limit(of_limit uuid, ends timestamptz, person uuid) returns integer
    language plpgsql set search_path = public, pg_temp as $$
declare
    cut integer;
begin
    update watch_limit
    set during = case when lower(during) >= ends then 'empty' else tstzrange(lower(during), ends) end,
        ended_by = person, ended_at = now()
    where id = of_limit and not isempty(during) and (upper_inf(during) or upper(during) > ends);
    get diagnostics cut = row_count;
    return cut;
end $$;
comment on function watch_end_limit is 'Ends a limit at a time; returns how many versions that cut short.';

comment on column event.kind is 'ecg, ecg_stream, vitals, order, gateway, device, gap, clock or alert (ecg_piece: of earlier versions).';
comment on column event.gateway is 'The gateway that caused it; empty for an alert that no message caused.';
comment on column event.message_id is 'The message that caused it; of an alert that no message caused, the alert''s id.';
comment on column event.body is 'ecg {recording, order, device}; ecg_stream {stream, device}, where the first piece came; vitals {readings, device, model}; order {order, state, detail}; gateway {state}; alert {alert, kind, severity, subject, late, doubt}; device, gap, clock: the message''s fields.';

-- --------------------------------------------------------------------------------------- what holds for everybody
insert into watch_limit (id, version, rule, severity, during) values
    ('00000000-0000-8000-8000-000000000ec9', 1, '{"rule": "ecg"}', 'urgent', tstzrange(null, null)),
    ('00000000-0000-8000-8000-000000000ab5', 1, '{"rule": "absent"}', 'warning', tstzrange(null, null))
on conflict do nothing;

-- ------------------------------------------------------------------------------------------------------------ rights
-- The record grants its application what it may see, by rules that know who is asking.
do $$
declare
    name text;
begin
    foreach name in array array['watch_subject', 'watch_limit', 'watch_alert'] loop
        execute format('alter table %I enable row level security', name);
        execute format('drop policy if exists ingest on %I', name);
        execute format('create policy ingest on %I to feldsher_ingest using (true) with check (true)', name);
        execute format('drop policy if exists worker on %I', name);
        execute format('create policy worker on %I to feldsher_worker using (true) with check (true)', name);
    end loop;
end $$;
revoke execute on function watch_turn from public;
grant select on watch_epoch, watch_subject, watch_limit to feldsher_ingest;
grant select, insert on watch_alert to feldsher_ingest;
grant select, insert, update, delete on watch_due, watch_checked, watch_moved to feldsher_ingest;
grant select, insert, update on watch_subject, watch_limit to feldsher_worker;
grant select on watch_alert, watch_due to feldsher_worker;
