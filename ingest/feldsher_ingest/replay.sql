-- Re-interpretation of stored cardiograms: the runs, what is left of one, and the two ends of a task.

-- name: begin
-- Enters a run with the number of recordings that it is about.
insert into replay_run (engine, asked, asked_by, total)
values (%(engine)s, %(asked)s::jsonb, %(asked_by)s, 0) returning run;

-- name: count!
-- Counts what a run is about.
update replay_run set total = %(total)s where run = %(run)s;

-- name: end!
-- Notes that nothing is left to do.
update replay_run set ended_at = clock_timestamp() where run = %(run)s and ended_at is null;

-- name: run
-- One run, and how far it is.
select r.run, r.engine, r.asked::text as asked, r.asked_by, r.total, r.started_at, r.ended_at,
       count(i.run) filter (where i.failed is null) as done, count(i.failed) as failed,
       count(i.run) filter (where i.new_critical <> '{}') as critical, max(i.at) as last_at
from replay_run r left join ecg_interpretation i on i.run = r.run
where r.run = %(run)s group by r.run;

-- name: runs
-- The newest runs, newest first.
select run from replay_run order by run desc limit %(limit)s;

-- name: alone
-- Says whether this session may drive a run: one process does at a time.
select pg_try_advisory_lock(hashtext('replay_run'), %(run)s::int4);

-- name: pending
-- Recordings of a run that are still to be done, after one id, in order of their ids.
select r.id from ecg_recording r
where r.id > %(after)s
  and (%(ids)s::uuid[] is null or r.id = any(%(ids)s::uuid[]))
  and (%(start)s::timestamptz is null or coalesce(r.corrected_started_at, r.started_at) >= %(start)s)
  and (%(end)s::timestamptz is null or coalesce(r.corrected_started_at, r.started_at) < %(end)s)
  and (%(devices)s::text[] is null or r.device = any(%(devices)s::text[]))
  and (%(gateways)s::text[] is null or r.gateway = any(%(gateways)s::text[]))
  and (%(engines)s::text[] is null or coalesce(r.engine, 'none') = any(%(engines)s::text[]))
  and (%(said)s::text[] is null or r.statements && %(said)s::text[])
  and r.engine is distinct from %(engine)s  -- else its gateway has said the same
  and not exists (select from ecg_interpretation i where i.recording = r.id and i.engine = %(engine)s
                  and (i.failed is null or i.run = %(run)s or not %(retry_failed)s))
order by r.id
limit %(limit)s;

-- name: recordings
-- What a task interprets; what another has done in the meantime is left out.
select r.id, r.gateway, r.leads, r.fs, r.uv_per_bit, r.n, r.codec, r.samples, r.archived, r.sha256, r.subject::text as subject,
       r.interpretation
from ecg_recording r
where r.id = any(%(ids)b::uuid[])
  and not exists (select from ecg_interpretation i where i.recording = r.id and i.engine = %(engine)s
                  and (i.failed is null or i.run = %(run)s));

-- name: keep
-- Keeps what a task has come to, and tells the cloud worker of what somebody has to look at; a repeat changes nothing.
with x as (
    select * from unnest(%(recording)b::uuid[], %(gateway)b::text[], %(statements)b::text[], %(critical)b::text[],
                         %(new_critical)b::text[], %(differs)b::bool[], %(change)b::text[], %(interpretation)b::bytea[],
                         %(failed)b::text[])
         as x(recording, gateway, statements, critical, new_critical, differs, change, interpretation, failed)
    where exists (select from ecg_recording r where r.id = x.recording)
), kept as (
    insert into ecg_interpretation as i (recording, engine, run, statements, critical, new_critical, differs, change,
                                         interpretation, failed)
    select recording, %(engine)s, %(run)s, string_to_array(statements, ' '), string_to_array(critical, ' '),
           string_to_array(new_critical, ' '), differs, change::jsonb, interpretation, failed
    from x
    on conflict (recording, engine) do update
        set (run, at, statements, critical, new_critical, differs, change, interpretation, failed)
          = (excluded.run, excluded.at, excluded.statements, excluded.critical, excluded.new_critical, excluded.differs,
             excluded.change, excluded.interpretation, excluded.failed)
        where i.failed is not null and i.run <> excluded.run
    returning recording, engine, run, new_critical, failed
), told as (
    insert into event (kind, gateway, message_id, body)
    select 'reinterpreted', x.gateway, k.recording,
           jsonb_build_object('recording', k.recording, 'engine', k.engine, 'run', k.run,
                              'critical', to_jsonb(k.new_critical), 'apply', %(apply_unsigned)s::boolean)
    from kept k join x using (recording)
    where k.failed is null and (k.new_critical <> '{}' or %(apply_unsigned)s)
)
select recording from kept;

-- name: changes
-- How the interpretations of a run differ from the gateways'.
select recording, new_critical, change::text as change from ecg_interpretation
where run = %(run)s and failed is null order by recording;

-- name: failures
-- What a run could not interpret, and why.
select recording, failed from ecg_interpretation
where run = %(run)s and failed is not null order by recording limit %(limit)s;
