-- Seats at the broker: who may be `ingest.0`, `ingest.1` … just now. Idempotent. Executed by a revision of
-- cloud_api/migrations; frozen once landed.

create table if not exists ingest_seat (
    seat smallint primary key check (seat between 0 and 15),
    holder uuid not null,
    held_until timestamptz not null
);
comment on table ingest_seat is 'A seat is one of ingest''s users at the broker with its session and its shards. Whoever holds it until a time may connect as it.';
comment on column ingest_seat.seat is 'Number in the broker user ingest.N.';
comment on column ingest_seat.holder is 'The process that holds it (ingest_member.holder).';
comment on column ingest_seat.held_until is 'Renewed every second; past it, anybody may take the seat.';

create table if not exists ingest_member (
    holder uuid primary key,
    worker text not null,
    present_until timestamptz not null
);
comment on table ingest_member is 'Processes that share the seats: each is to hold as many as the others.';
comment on column ingest_member.holder is 'The process''s identity, kept in its state folder.';
comment on column ingest_member.worker is 'The process''s name, for people and for ingest_mark.';
comment on column ingest_member.present_until is 'Renewed every second; past it, the process is not counted.';

grant select, insert, update, delete on ingest_seat, ingest_member to feldsher_ingest;
