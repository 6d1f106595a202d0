-- Re-interpretation of stored cardiograms by a newer engine: what was asked, and what each recording came to. Idempotent.
-- Executed by a revision of cloud_api/migrations; frozen once landed.

create table if not exists replay_run (
    run bigint generated always as identity primary key,
    engine text not null,
    asked jsonb not null,
    asked_by text not null,
    total bigint not null,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);
comment on table replay_run is 'Each time an archive is re-interpreted: by which engine, which recordings. How far it is, is counted in ecg_interpretation.';
comment on column replay_run.run is 'Number, for the command line.';
comment on column replay_run.engine is 'Name and version of the engine.';
comment on column replay_run.asked is 'Which recordings, and what is to follow (feldsher_ingest.replay.Asked).';
comment on column replay_run.asked_by is 'Who started it.';
comment on column replay_run.total is 'How many recordings it was about when it began.';
comment on column replay_run.started_at is 'When it began (database clock).';
comment on column replay_run.ended_at is 'When nothing was left to do; null = under way, or to be resumed.';

create table if not exists ecg_interpretation (
    recording uuid not null references ecg_recording on delete cascade,
    engine text not null,
    run bigint not null references replay_run,
    at timestamptz not null default now(),
    statements text[] not null,
    critical text[] not null,
    new_critical text[] not null,
    differs boolean not null,
    change jsonb,
    interpretation bytea,
    failed text,
    primary key (recording, engine),
    constraint ecg_interpretation_or_reason check ((interpretation is null) <> (failed is null))
);
create index if not exists ecg_interpretation_run on ecg_interpretation (run);
comment on table ecg_interpretation is 'What later engines say of stored recordings, beside what the gateway''s said (ecg_recording): one row per recording and engine, never changed once it holds an interpretation.';
comment on column ecg_interpretation.recording is 'The recording.';
comment on column ecg_interpretation.engine is 'Name and version of the engine.';
comment on column ecg_interpretation.run is 'The run that made it.';
comment on column ecg_interpretation.at is 'When it was stored (database clock).';
comment on column ecg_interpretation.statements is 'Statement codes, for searching.';
comment on column ecg_interpretation.critical is 'Codes of the critical statements.';
comment on column ecg_interpretation.new_critical is 'Those of them that the gateway''s interpretation did not say, or not as critical.';
comment on column ecg_interpretation.differs is 'Whether the statements, their certainty or whether they are critical differ from the gateway''s.';
comment on column ecg_interpretation.change is 'How it differs (feldsher_ingest.replay_change.Change); null where the gateway had not interpreted it.';
comment on column ecg_interpretation.interpretation is 'The interpretation, MessagePack exactly as the structure says (feldsher_ehr_core.ecg).';
comment on column ecg_interpretation.failed is 'Why there is none.';

grant select, insert, update on replay_run, ecg_interpretation to feldsher_ingest;
grant select on replay_run, ecg_interpretation to feldsher_worker, feldsher_api;
comment on column event.kind is 'ecg, ecg_stream, vitals, order, gateway, device, gap, clock, reported, alert or reinterpreted (ecg_piece: of earlier versions).';
comment on column event.body is 'ecg {recording, order, device}; ecg_stream {stream, device}, where the first piece came; vitals {readings, device, model}; order {order, state, detail}; gateway {state}; alert {alert, kind, severity, subject, late, doubt}; reinterpreted {recording, engine, run, critical, apply}; device, gap, clock, reported: the message''s fields.';
