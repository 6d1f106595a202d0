-- Where the readings of a message lie, for those whose clock may be corrected later: without it every chunk of every year
-- is looked at. Idempotent. Executed by a revision of cloud_api/migrations; frozen once landed.

alter table message add column if not exists key_from timestamptz;
alter table message add column if not exists key_to timestamptz;
comment on column message.key_from is 'First key time of the readings it brought, where its clock was not synced; null where it brought none, and in messages stored before this column.';
comment on column message.key_to is 'Last key time of those readings.';
create index if not exists message_unsynced on message (gateway, boot) where clock <> 'synced';
