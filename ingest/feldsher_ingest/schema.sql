-- The ingestion tier's tables, in the Apache subset of TimescaleDB 2.19; plain tables where the extension is missing.
-- Idempotent. Executed by the first revision of cloud_api/migrations; a landed revision is frozen, so later changes to
-- these tables are revisions of their own.

do $$
begin
    if not exists (select from pg_available_extensions where name = 'timescaledb')
       or position('timescaledb' in coalesce(current_setting('shared_preload_libraries', true), '')) = 0 then
        raise notice 'TimescaleDB is missing: vital_sign and message become plain tables';
    else
        create extension if not exists timescaledb;
    end if;
end $$;

do $$
declare
    wanted text;
begin
    foreach wanted in array array['feldsher_ingest', 'feldsher_worker', 'feldsher_api'] loop
        continue when exists (select from pg_roles where rolname = wanted);
        begin
            execute 'create role ' || quote_ident(wanted) || ' login';
        exception when duplicate_object or unique_violation then
            null;  -- roles belong to the whole server: another database's migration has made it
        end;
    end loop;
end $$;

-- ---------------------------------------------------------------------------------------------------- the ledger
create table if not exists message (
    gateway text not null,
    id uuid not null,
    made_at timestamptz not null,
    kind text not null,
    boot uuid not null,
    seq bigint not null,
    mono_ns bigint not null,
    clock text not null,
    device text,
    stored_at timestamptz not null default now(),
    primary key (gateway, id, made_at)
);
comment on table message is 'Ledger of every message stored: any repeat of any kind finds its row here and is a duplicate. Chunks of 30 days by made_at; a chunk may be dropped once no gateway can resend from it.';
comment on column message.gateway is 'The gateway that made the message (its certificate''s common name).';
comment on column message.id is 'Message id, UUIDv7 made at the edge; with the gateway it is unique for ever.';
comment on column message.made_at is 'The time inside the id, brought into 2020 to 2100 so that a gateway without a clock cannot scatter chunks: a function of the id alone, as a partition key must be.';
comment on column message.kind is 'Kind of message, as in its topic.';
comment on column message.boot is 'Random id of the start of the gateway''s kernel: the span in which mono_ns counts.';
comment on column message.seq is 'The gateway''s own count of messages.';
comment on column message.mono_ns is 'The gateway''s monotonic clock when the message was made, nanoseconds.';
comment on column message.clock is 'Quality of the gateway''s wall clock: synced, holdover or unsynced.';
comment on column message.device is 'The device that the message speaks of, where it is about one.';
comment on column message.stored_at is 'When ingest''s transaction began (database clock).';

-- ------------------------------------------------------------------------------------------------- measurements
create table if not exists reading (
    reading_id uuid primary key,
    message_id uuid not null,
    gateway text not null,
    stored_at timestamptz not null default now()
);
comment on table reading is 'Every reading stored, once: its first arrival is decided here, whatever time a gateway gave it. A plain table, because a hypertable can be unique only together with its time.';
comment on column reading.reading_id is 'Hash of device, user number, device time as sent, values and sequence (feldsher_ehr_core.ids.reading_id).';
comment on column reading.message_id is 'The message that brought it first.';
comment on column reading.gateway is 'The gateway that brought it first.';
comment on column reading.stored_at is 'When ingest''s transaction began (database clock).';

create table if not exists vital_sign (
    reading_id uuid not null,
    code integer not null,
    time timestamptz not null,
    corrected_time timestamptz,
    received_at timestamptz not null,
    device text not null,
    user_no integer,
    value numeric,
    absent text,
    unit text not null,
    status integer,
    sent_at text,
    device_behind_us bigint,
    raw bytea,
    message_id uuid not null,
    gateway text not null,
    constraint vital_sign_value_or_reason check ((value is null) <> (absent is null))
);
create unique index if not exists vital_sign_key on vital_sign (reading_id, code, time);
create index if not exists vital_sign_device on vital_sign (device, time desc);
comment on table vital_sign is 'One value of one reading per row. A reading heard twice, also through two gateways, is one row.';
comment on column vital_sign.reading_id is 'The reading, as in table reading.';
comment on column vital_sign.code is 'What was measured, IEEE 11073 (MDC).';
comment on column vital_sign.time is 'Key time: the device''s time as sent read in the gateway''s offset, else the gateway''s receiving time; never changes.';
comment on column vital_sign.corrected_time is 'Best known true time where it differs in origin from time: the device''s and gateway''s clock errors taken out; null where time stands.';
comment on column vital_sign.received_at is 'When the gateway received the reading, by the gateway''s clock.';
comment on column vital_sign.device is 'The device''s address or system id; whose it was is resolved by the cloud from assignment periods.';
comment on column vital_sign.user_no is 'User number that the device gave; null where it has none.';
comment on column vital_sign.value is 'The value with the decimals that were sent; null where absent says why.';
comment on column vital_sign.absent is 'Why the device sent no number: nan, nres, +inf, -inf, reserved.';
comment on column vital_sign.unit is 'UCUM unit.';
comment on column vital_sign.status is 'Measurement status bits as the device sent them.';
comment on column vital_sign.sent_at is 'The device''s local time exactly as sent, ISO 8601 without offset; null where it has no clock.';
comment on column vital_sign.device_behind_us is 'Microseconds by which the device''s clock was behind the gateway''s in the session; null where they were not compared.';
comment on column vital_sign.raw is 'The device''s bytes, kept for disputes; on the first value of a reading.';
comment on column vital_sign.message_id is 'The message that brought it first.';
comment on column vital_sign.gateway is 'The gateway that brought it first.';

create table if not exists latest_value (
    device text not null,
    code integer not null,
    user_no integer,
    reading_id uuid not null,
    time timestamptz not null,
    corrected_time timestamptz,
    value numeric,
    absent text,
    unit text not null,
    constraint latest_value_key unique nulls not distinct (device, code, user_no)
);
comment on table latest_value is 'The newest value per device, code and user: last values without searching hypertables.';
comment on column latest_value.device is 'As in vital_sign.';
comment on column latest_value.code is 'As in vital_sign.';
comment on column latest_value.user_no is 'As in vital_sign.';
comment on column latest_value.reading_id is 'The reading that holds the value.';
comment on column latest_value.time is 'Key time of that reading; an older one never replaces a newer.';
comment on column latest_value.corrected_time is 'As in vital_sign.';
comment on column latest_value.value is 'As in vital_sign.';
comment on column latest_value.absent is 'As in vital_sign.';
comment on column latest_value.unit is 'As in vital_sign.';

create table if not exists ecg_recording (
    id uuid primary key,
    device text not null,
    gateway text not null,
    order_id uuid,
    fs double precision not null,
    leads text[] not null,
    uv_per_bit double precision[] not null,
    n integer not null,
    codec text not null,
    samples bytea not null,
    sha256 bytea not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    corrected_started_at timestamptz,
    clock text not null,
    lost integer not null,
    crc_errors integer not null,
    clock_ratio double precision,
    partial text,
    lead_off text[] not null,
    subject jsonb,
    engine text,
    statements text[],
    interpretation bytea,
    not_interpreted text,
    received_at timestamptz not null default now()
);
-- zstd has compressed the samples already; TOAST shall not try again
alter table ecg_recording alter column samples set storage external;
create index if not exists ecg_recording_device on ecg_recording (device, started_at desc);
create index if not exists ecg_recording_order on ecg_recording (order_id) where order_id is not null;
comment on table ecg_recording is 'One cardiogram of at most 60 s per row, as sampled. A plain table: hypertables bring nothing to it (measured).';
comment on column ecg_recording.id is 'Message id of the EcgRecording message.';
comment on column ecg_recording.device is 'The cardiograph.';
comment on column ecg_recording.gateway is 'The gateway that took it.';
comment on column ecg_recording.order_id is 'The order it answers; null = unassigned.';
comment on column ecg_recording.fs is 'Samples per second.';
comment on column ecg_recording.leads is 'Lead names, in the order of the samples.';
comment on column ecg_recording.uv_per_bit is 'Microvolts per unit, one per lead.';
comment on column ecg_recording.n is 'Samples per lead.';
comment on column ecg_recording.codec is 'How samples are coded (feldsher_signal.codec).';
comment on column ecg_recording.samples is 'Coded samples, lead after lead, as they arrived; checked against sha256 before storing.';
comment on column ecg_recording.sha256 is 'SHA-256 of the decoded little-endian int32 samples, lead-major: what a signature covers.';
comment on column ecg_recording.started_at is 'Gateway wall time of the first sample, as sent.';
comment on column ecg_recording.ended_at is 'Gateway wall time after the last sample, as sent.';
comment on column ecg_recording.corrected_started_at is 'started_at with the gateway''s clock error taken out; null where started_at stands.';
comment on column ecg_recording.clock is 'Quality of the gateway''s wall clock when it was sent.';
comment on column ecg_recording.lost is 'Samples missing by the device''s own counting.';
comment on column ecg_recording.crc_errors is 'Frames discarded for their checksum.';
comment on column ecg_recording.clock_ratio is 'Device sampling clock against the gateway''s clock.';
comment on column ecg_recording.partial is 'Why the recording is shorter than ordered.';
comment on column ecg_recording.lead_off is 'Leads that were off by the device''s own detection.';
comment on column ecg_recording.subject is 'Age, sex and the like that the order carried; never who it is.';
comment on column ecg_recording.engine is 'Name and version of the interpreting engine.';
comment on column ecg_recording.statements is 'Statement codes of the interpretation, for searching.';
comment on column ecg_recording.interpretation is 'The gateway''s interpretation, MessagePack exactly as the structure says (feldsher_ehr_core.ecg).';
comment on column ecg_recording.not_interpreted is 'Why there is no interpretation.';
comment on column ecg_recording.received_at is 'When ingest''s transaction began (database clock).';

-- ------------------------------------------------------------------------------------------ gateways and devices
create table if not exists gateway_state (
    gateway text primary key,
    state text not null,
    boot uuid not null,
    seq bigint not null,
    software text,
    starts integer,
    devices text[],
    outbox_rows bigint,
    outbox_bytes bigint,
    oldest_at timestamptz,
    sources jsonb,
    clock text not null,
    wall_at timestamptz not null,
    seen_at timestamptz not null default now(),
    resend_epoch bigint not null default 0
);
comment on table gateway_state is 'What each gateway last said of itself.';
comment on column gateway_state.gateway is 'Gateway name.';
comment on column gateway_state.state is 'online (birth or heartbeat) or offline (death).';
comment on column gateway_state.boot is 'Start of the gateway''s kernel.';
comment on column gateway_state.seq is 'Its message count in the newest birth or heartbeat; an older one changes nothing.';
comment on column gateway_state.software is 'Version of its software.';
comment on column gateway_state.starts is 'Starts of its daemon.';
comment on column gateway_state.devices is 'Devices attached at its birth.';
comment on column gateway_state.outbox_rows is 'Messages waiting in its outbox.';
comment on column gateway_state.outbox_bytes is 'Bytes waiting in its outbox.';
comment on column gateway_state.oldest_at is 'Making of the oldest waiting message; null where none waits.';
comment on column gateway_state.sources is 'Seconds since the last sign of life of each source.';
comment on column gateway_state.clock is 'Quality of its wall clock.';
comment on column gateway_state.wall_at is 'Its wall clock in the newest message of state.';
comment on column gateway_state.seen_at is 'When that message was stored (database clock).';
comment on column gateway_state.resend_epoch is 'Newest ingest_epoch for which it has been asked to resend.';

create table if not exists device_status (
    message_id uuid not null,
    gateway text not null,
    device text not null,
    at timestamptz not null,
    state text not null,
    detail text,
    battery integer,
    model text,
    firmware text,
    received_at timestamptz not null default now(),
    primary key (gateway, message_id)
);
create index if not exists device_status_device on device_status (device, at desc);
comment on table device_status is 'Every status that a device gave or a gateway saw of it; the newest row per device is its present state.';
comment on column device_status.message_id is 'The message that brought it.';
comment on column device_status.gateway is 'The gateway that saw it.';
comment on column device_status.device is 'The device.';
comment on column device_status.at is 'Gateway wall time.';
comment on column device_status.state is 'present, absent, busy or fault.';
comment on column device_status.detail is 'What the device reported, in words or codes.';
comment on column device_status.battery is 'Battery, percent.';
comment on column device_status.model is 'Model number.';
comment on column device_status.firmware is 'Firmware version.';
comment on column device_status.received_at is 'When ingest''s transaction began (database clock).';

create table if not exists clock_offset (
    message_id uuid not null,
    gateway text not null,
    boot uuid not null,
    mono_ns bigint not null,
    offset_us bigint not null,
    source text not null,
    received_at timestamptz not null default now(),
    primary key (gateway, boot, mono_ns)
);
comment on table clock_offset is 'Corrections of gateways'' clocks: before it, wall time of this boot was offset_us behind the true time.';
comment on column clock_offset.message_id is 'The message that brought it.';
comment on column clock_offset.gateway is 'The gateway.';
comment on column clock_offset.boot is 'The start of its kernel within which the correction holds.';
comment on column clock_offset.mono_ns is 'Its monotonic clock at the correction; earlier messages of the boot are corrected by it.';
comment on column clock_offset.offset_us is 'Microseconds by which wall time was behind.';
comment on column clock_offset.source is 'Where the true time came from.';
comment on column clock_offset.received_at is 'When ingest''s transaction began (database clock).';

create table if not exists gap (
    message_id uuid not null,
    gateway text not null,
    what text not null,
    why text not null,
    count bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (gateway, message_id)
);
comment on table gap is 'What a gateway dropped and why: nothing is lost without a row here.';
comment on column gap.message_id is 'The message that brought it.';
comment on column gap.gateway is 'The gateway.';
comment on column gap.what is 'Kind of thing dropped.';
comment on column gap.why is 'Reason.';
comment on column gap.count is 'How many.';
comment on column gap.first_at is 'Making of the first dropped.';
comment on column gap.last_at is 'Making of the last dropped.';
comment on column gap.received_at is 'When ingest''s transaction began (database clock).';

-- ------------------------------------------------------------------------------------------------- dead letters
create table if not exists dead_letter (
    id bigint generated always as identity primary key,
    digest bytea not null unique,
    received_at timestamptz not null default now(),
    seen integer not null default 1,
    topic text not null,
    payload bytea not null,
    cause text not null,
    reason text not null,
    gateway text,
    message_id uuid,
    kind text,
    repaired_at timestamptz,
    repaired_by text
);
create index if not exists dead_letter_open on dead_letter (received_at) where repaired_at is null;
comment on table dead_letter is 'Messages that could not be stored, kept whole with the reason, to be inspected, repaired and replayed.';
comment on column dead_letter.id is 'Number, for the command line.';
comment on column dead_letter.digest is 'SHA-256 of topic and payload: the same bad message again is counted, not kept twice.';
comment on column dead_letter.received_at is 'When it first came (database clock).';
comment on column dead_letter.seen is 'How many times it came.';
comment on column dead_letter.topic is 'Topic it came on.';
comment on column dead_letter.payload is 'Its bytes.';
comment on column dead_letter.cause is 'Class of the reason: topic, payload, oversized, samples, values, database, unexpected.';
comment on column dead_letter.reason is 'What is wrong, naming the field or byte.';
comment on column dead_letter.gateway is 'The gateway as claimed by the topic (which the broker has checked).';
comment on column dead_letter.message_id is 'Message id, where the envelope could be read.';
comment on column dead_letter.kind is 'Kind of message, where the envelope could be read.';
comment on column dead_letter.repaired_at is 'When it was replayed and stored; null = open.';
comment on column dead_letter.repaired_by is 'Who replayed it.';

-- -------------------------------------------------------------------------------------------------------- events
create table if not exists event (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    kind text not null,
    gateway text not null,
    message_id uuid not null,
    body jsonb not null,
    attempts integer not null default 0,
    error text,
    retry_at timestamptz not null default now(),
    parked_at timestamptz,
    done_at timestamptz
);
create index if not exists event_open on event (id) where done_at is null and parked_at is null;
comment on table event is 'What the cloud worker has to do, written in the same transaction as the data. Claim with FOR UPDATE SKIP LOCKED; never by a high-water mark, ids commit out of order.';
comment on column event.id is 'Number.';
comment on column event.at is 'When ingest''s transaction began (database clock).';
comment on column event.kind is 'ecg, vitals, order, gateway, device, gap or clock.';
comment on column event.gateway is 'The gateway that caused it.';
comment on column event.message_id is 'The message that caused it.';
comment on column event.body is 'ecg {recording, order, device}; vitals {readings, device, model}; order {order, state, detail}; gateway {state}; device, gap, clock: the message''s fields.';
comment on column event.attempts is 'Attempts so far.';
comment on column event.error is 'Error of the last attempt.';
comment on column event.retry_at is 'Not to be attempted before.';
comment on column event.parked_at is 'Given up after too many attempts; the error is kept.';
comment on column event.done_at is 'When the worker''s own transaction did it.';

create or replace function feldsher_event_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('feldsher_event', '');
    return null;
end $$;
comment on function feldsher_event_notify() is 'Wakes the cloud worker (LISTEN feldsher_event) when the transaction commits.';
create or replace trigger event_notify after insert on event for each statement execute function feldsher_event_notify();

-- ------------------------------------------------------------------------------------------------------ restores
create table if not exists ingest_mark (
    worker text primary key,
    batch bigint not null,
    at timestamptz not null default now()
);
comment on table ingest_mark is 'Count of committed batches per ingest worker. The worker remembers its own: a smaller count here means that the database went back in time.';
comment on column ingest_mark.worker is 'The worker''s MQTT client id.';
comment on column ingest_mark.batch is 'Batches committed.';
comment on column ingest_mark.at is 'When the last one began.';

create table if not exists ingest_epoch (
    epoch bigint generated always as identity primary key,
    since timestamptz,
    at timestamptz not null default now(),
    why text not null
);
comment on table ingest_epoch is 'Each time the database was restored or promoted: every gateway is asked once per epoch to send again what it keeps.';
comment on column ingest_epoch.epoch is 'Number; see gateway_state.resend_epoch.';
comment on column ingest_epoch.since is 'Resend what was made since; null = everything that is still kept (seven days).';
comment on column ingest_epoch.at is 'When it was opened.';
comment on column ingest_epoch.why is 'Who or what opened it.';

-- ---------------------------------------------------------------------------------------- hypertables and rights
do $$
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        perform create_hypertable('vital_sign', by_range('time', interval '7 days'), create_default_indexes => false, if_not_exists => true);
        perform create_hypertable('message', by_range('made_at', interval '30 days'), create_default_indexes => false, if_not_exists => true);
    end if;
end $$;

grant usage on schema public to feldsher_ingest, feldsher_worker, feldsher_api;
grant select, insert on message, reading, device_status, clock_offset, gap, event, ingest_epoch to feldsher_ingest;
grant select, insert, update on vital_sign, latest_value, ecg_recording, gateway_state, dead_letter, ingest_mark to feldsher_ingest;
grant select on vital_sign, latest_value, ecg_recording, gateway_state, device_status, clock_offset, gap, dead_letter, message to feldsher_worker, feldsher_api;
grant select, update, delete on event to feldsher_worker;
