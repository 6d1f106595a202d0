-- What a message told of itself is found again when its readings are judged again, and which connection of a gateway has
-- ended. Idempotent. Executed by a revision of cloud_api/migrations; frozen once landed.

create index if not exists event_told on event (message_id) where body ?| array['historical', 'unowned'];

alter table gateway_state add column if not exists connected_seq bigint;
alter table gateway_state add column if not exists connected_before bigint;
comment on column gateway_state.connected_seq is 'Its message count in its newest birth.';
comment on column gateway_state.connected_before is 'Its message count in the birth before that, of the same boot: a death made earlier is of a connection that is long over.';

grant select on retention_policy to feldsher_status;
