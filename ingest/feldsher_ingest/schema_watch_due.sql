-- What the watch leaves to its chore (rejudge.py). Idempotent. Executed by a revision of cloud_api/migrations; frozen once
-- landed.

alter table watch_due drop constraint if exists watch_due_cause_check;
alter table watch_due add constraint watch_due_cause_check check (cause in ('arrival', 'limits', 'assignment', 'clock'));
create index if not exists watch_due_of on watch_due (subject);
create index if not exists watch_limit_review on watch_limit (review_at) where review_at is not null;
create index if not exists watch_limit_missed on watch_limit (id) where rule ->> 'rule' = 'missed';
comment on table watch_due is 'Stretches of somebody''s measurements that are to be judged again, written by the transaction that changed what they are judged by, or that brought more than it could judge.';

create or replace function watch_key(gateway text, device text) returns text language sql immutable
    as $$ select case when device ~ '^(([0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{12}|[0-9A-Fa-f]{16})$'
                      then upper(device) else gateway || '/' || device end $$;
comment on function watch_key is 'The key of a device that a gateway calls so, as in watch_subject.device (feldsher_ehr_core.ids.device_key).';

create or replace function watch_moved_turn() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    perform watch_turn();
    return null;
end $$;
comment on function watch_moved_turn is 'Has workers look up anew where a source''s measurements are to be looked for.';
create or replace trigger watch_moved_turn after insert or update on watch_moved
    for each row execute function watch_moved_turn();
