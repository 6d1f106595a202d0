-- What gateways have told since: true time by monotonic clock, and whose and how many readings were lost. Idempotent.
-- Executed after schema.sql by a revision of cloud_api/migrations; frozen once landed, as that one is.

alter table message add column if not exists base_us bigint;
comment on column message.base_us is 'The gateway''s wall time minus its monotonic time when the message was made, microseconds: the same in all of a boot but for steps of the wall clock; null in messages stored before this column.';

alter table clock_offset add column if not exists base_us bigint;
alter table clock_offset add column if not exists trusted boolean not null default true;
comment on column clock_offset.base_us is 'True time minus monotonic time of this boot, microseconds: corrects every message of the boot, made before or after; null where only offset_us is known.';
comment on column clock_offset.trusted is 'False: the clock was set to something nobody vouches for; only a record.';
comment on table clock_offset is 'Corrections of gateways'' clocks: with base_us for the whole boot, else: before it, wall time of this boot was offset_us behind the true time.';

alter table gap add column if not exists device text;
alter table gap add column if not exists readings bigint not null default 0;
comment on column gap.device is 'Whose data it was; null where of no one device.';
comment on column gap.readings is 'Measured readings in what was dropped.';
