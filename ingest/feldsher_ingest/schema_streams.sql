-- Continuous ECGs: pieces of about ten seconds in a hypertable of their own, and what they are pieces of. Idempotent.
-- Executed by a revision of cloud_api/migrations after schema.sql; frozen once landed.

create table if not exists ecg_stream (
    stream uuid primary key,
    gateway text not null,
    device text not null,
    fs double precision not null,
    leads text[] not null,
    uv_per_bit double precision[] not null,
    boot uuid not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    taken_from timestamptz not null,
    taken_until timestamptz not null,
    parts integer not null,
    opened_at timestamptz not null default now(),
    received_at timestamptz not null default now()
);
create index if not exists ecg_stream_device on ecg_stream (device, taken_from desc);
create index if not exists ecg_stream_boot on ecg_stream (gateway, boot);
create index if not exists ecg_stream_received on ecg_stream (received_at);
comment on table ecg_stream is 'Continuous ECGs: what all pieces of one have in common, and from when to when there are pieces.';
comment on column ecg_stream.stream is 'Made by the gateway where the recording began.';
comment on column ecg_stream.gateway is 'The gateway that records it.';
comment on column ecg_stream.device is 'The device; whose it was is resolved by the cloud from assignment periods.';
comment on column ecg_stream.fs is 'Samples per second, nominal: ecg_chunk''s times and counts tell the true rate.';
comment on column ecg_stream.leads is 'Lead names, in the order of the samples.';
comment on column ecg_stream.uv_per_bit is 'Microvolts per unit, one per lead.';
comment on column ecg_stream.boot is 'Start of the gateway''s kernel in which it was recorded: a restart begins another stream.';
comment on column ecg_stream.first_at is 'Least ecg_chunk.started_at: with last_at, in which chunks of the hypertable the pieces lie.';
comment on column ecg_stream.last_at is 'Greatest ecg_chunk.started_at.';
comment on column ecg_stream.taken_from is 'Best known true time of the first sample.';
comment on column ecg_stream.taken_until is 'Best known true time after the last sample.';
comment on column ecg_stream.parts is 'One more than the highest part: as many pieces there are where none is missing.';
comment on column ecg_stream.opened_at is 'When the first piece was stored (database clock).';
comment on column ecg_stream.received_at is 'When the newest piece was stored (database clock).';

create table if not exists ecg_chunk (
    stream uuid not null,
    part integer not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    corrected_started_at timestamptz,
    n integer not null,
    codec text not null,
    samples bytea not null,
    sha256 bytea not null,
    clock text not null,
    lost integer not null,
    crc_errors integer not null,
    clock_ratio double precision,
    partial text,
    lead_off text[] not null,
    message_id uuid not null,
    received_at timestamptz not null default now()
);
-- zstd has compressed the samples already; TOAST shall not try again
alter table ecg_chunk alter column samples set storage external;
create unique index if not exists ecg_chunk_key on ecg_chunk (stream, part, started_at);
create index if not exists ecg_chunk_taken on ecg_chunk (stream, (coalesce(corrected_started_at, started_at)));
comment on table ecg_chunk is 'One piece of a continuous ECG per row, as sampled; samples that the device lost are missing in it. Whoever asks adds a range of started_at (ecg_stream.first_at to last_at): without it every chunk is looked at.';
comment on column ecg_chunk.stream is 'The continuous ECG, as in ecg_stream.';
comment on column ecg_chunk.part is 'Number of the piece, from 0 on.';
comment on column ecg_chunk.started_at is 'Partition and key: gateway wall time of the first sample, as sent; never changes.';
comment on column ecg_chunk.ended_at is 'Gateway wall time after the last sample, as sent.';
comment on column ecg_chunk.corrected_started_at is 'started_at with the gateway''s clock error taken out; null where started_at stands.';
comment on column ecg_chunk.n is 'Samples per lead.';
comment on column ecg_chunk.codec is 'How samples are coded (feldsher_signal.codec).';
comment on column ecg_chunk.samples is 'Coded samples, lead after lead, as they arrived; checked against sha256 before storing.';
comment on column ecg_chunk.sha256 is 'SHA-256 of the decoded little-endian int32 samples, lead-major.';
comment on column ecg_chunk.clock is 'Quality of the gateway''s wall clock when it was sent.';
comment on column ecg_chunk.lost is 'Samples missing in it by the device''s own counting.';
comment on column ecg_chunk.crc_errors is 'Frames discarded for their checksum.';
comment on column ecg_chunk.clock_ratio is 'Device clock against the gateway''s clock.';
comment on column ecg_chunk.partial is 'Why the piece ends early: what follows it does not continue it.';
comment on column ecg_chunk.lead_off is 'Leads that were off by the device''s own detection.';
comment on column ecg_chunk.message_id is 'The message that brought it.';
comment on column ecg_chunk.received_at is 'When ingest''s transaction began (database clock).';

-- A day per chunk: what a policy of retention drops is whole chunks, and a day of many streams is gigabytes.
do $$
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        perform create_hypertable('ecg_chunk', by_range('started_at', interval '1 day'), create_default_indexes => false, if_not_exists => true);
    end if;
end $$;

-- ------------------------------------------------------------------------------------- what earlier revisions stored
-- Pieces lie among the recordings; only their events tell that they are pieces, and of what.
do $$
declare
    moved bigint;
    gone bigint;
begin
    create temporary table piece on commit drop as
    select r.id, (e.body ->> 'stream')::uuid as stream, (e.body ->> 'part')::integer as part,
           coalesce((select m.boot from message m where m.gateway = r.gateway and m.id = r.id limit 1), r.id) as boot
    from ecg_recording r
    join event e on e.message_id = r.id and e.gateway = r.gateway and e.kind = 'ecg_piece'
    where not exists (select from ecg_stream s where s.stream = (e.body ->> 'stream')::uuid);
    if not exists (select from piece) then
        drop table piece;
        return;
    end if;
    insert into ecg_stream (stream, gateway, device, fs, leads, uv_per_bit, boot, first_at, last_at, taken_from,
                            taken_until, parts, opened_at, received_at)
    select distinct on (p.stream) p.stream, r.gateway, r.device, r.fs, r.leads, r.uv_per_bit, p.boot, r.started_at,
           r.started_at, r.started_at, r.ended_at, 1, r.received_at, r.received_at
    from piece p join ecg_recording r on r.id = p.id
    order by p.stream, p.part, r.received_at;
    delete from piece p using ecg_recording r, ecg_stream s
    where r.id = p.id and s.stream = p.stream
      and (s.gateway, s.device, s.fs, s.leads, s.uv_per_bit) <> (r.gateway, r.device, r.fs, r.leads, r.uv_per_bit);
    insert into ecg_chunk (stream, part, started_at, ended_at, corrected_started_at, n, codec, samples, sha256, clock,
                           lost, crc_errors, clock_ratio, partial, lead_off, message_id, received_at)
    select p.stream, p.part, r.started_at, r.ended_at, r.corrected_started_at, r.n, r.codec, r.samples, r.sha256, r.clock,
           r.lost, r.crc_errors, r.clock_ratio, r.partial, r.lead_off, r.id, r.received_at
    from piece p join ecg_recording r on r.id = p.id
    order by r.started_at;
    get diagnostics moved = row_count;
    update ecg_stream s
    set (first_at, last_at, taken_from, taken_until, parts, opened_at, received_at)
      = (select min(c.started_at), max(c.started_at), min(coalesce(c.corrected_started_at, c.started_at)),
                max(coalesce(c.corrected_started_at, c.started_at) + (c.ended_at - c.started_at)), max(c.part) + 1,
                min(c.received_at), max(c.received_at)
         from ecg_chunk c where c.stream = s.stream)
    where s.stream in (select stream from piece);
    delete from ecg_recording r using piece p, ecg_chunk c
    where r.id = p.id and c.message_id = r.id and c.stream = p.stream and c.part = p.part and c.sha256 = r.sha256;
    get diagnostics gone = row_count;
    if moved <> gone then
        raise exception 'of % pieces moved % left ecg_recording: nothing was changed', moved, gone;
    end if;
    insert into event (kind, gateway, message_id, body)
    select 'ecg_stream', s.gateway, min(p.id::text)::uuid, jsonb_build_object('stream', s.stream, 'device', s.device)
    from piece p join ecg_stream s on s.stream = p.stream
    group by s.stream, s.gateway, s.device;
    drop table piece;
end $$;

comment on column event.kind is 'ecg, ecg_stream, vitals, order, gateway, device, gap or clock (ecg_piece: of earlier versions).';
comment on column event.body is 'ecg {recording, order, device}; ecg_stream {stream, device}, where the first piece came; vitals {readings, device, model}; order {order, state, detail}; gateway {state}; device, gap, clock: the message''s fields.';

grant select, insert, update on ecg_stream, ecg_chunk to feldsher_ingest;
grant select on ecg_stream, ecg_chunk to feldsher_worker, feldsher_api;
