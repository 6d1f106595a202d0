-- Roll-ups of days on which a source measured often (rollup.py). Idempotent. Executed by a revision of
-- cloud_api/migrations; frozen once landed.

create table if not exists vital_due (
    source integer not null,
    day date not null,
    at timestamptz not null default now()
);
comment on table vital_due is 'Days of sources whose readings have changed since they were rolled up. Rows are added by the transaction that changes, so that none is forgotten, and taken by the one that rolls up.';
comment on column vital_due.source is 'As in vital_reading.';
comment on column vital_due.day is 'The day of vital_reading.time, UTC.';
comment on column vital_due.at is 'When it became due.';

create table if not exists vital_dense (
    source integer not null,
    day date not null,
    readings integer not null,
    primary key (source, day)
);
comment on table vital_dense is 'Days that are rolled up: those with many readings. All others are read as they are, which costs less.';
comment on column vital_dense.source is 'As in vital_reading.';
comment on column vital_dense.day is 'The day of vital_reading.time, UTC.';
comment on column vital_dense.readings is 'Readings of that day.';

create table if not exists vital_rollup (
    source integer not null,
    seconds integer not null check (seconds in (60, 3600, 86400)),
    code integer not null,
    bucket timestamptz not null,
    day date not null,
    n integer not null,
    low numeric not null,
    high numeric not null,
    total numeric not null,
    primary key (source, seconds, code, bucket, day)
);
comment on table vital_rollup is 'Values of dense days by minute, hour and day: always recomputed from the readings, never added up.';
comment on column vital_rollup.source is 'As in vital_reading.';
comment on column vital_rollup.seconds is 'Width of the bucket: a minute, an hour, a day.';
comment on column vital_rollup.code is 'What was measured, IEEE 11073 (MDC).';
comment on column vital_rollup.bucket is 'Start of the bucket, by the best known time of the readings, UTC.';
comment on column vital_rollup.day is 'The dense day it was made of: with it, it is made anew.';
comment on column vital_rollup.n is 'Values in it.';
comment on column vital_rollup.low is 'The least.';
comment on column vital_rollup.high is 'The greatest.';
comment on column vital_rollup.total is 'Their sum; divided by n, the mean.';

grant select, insert, delete on vital_due to feldsher_ingest;
grant select, insert, update, delete on vital_dense, vital_rollup to feldsher_ingest;
grant select on vital_dense, vital_rollup to feldsher_worker;
