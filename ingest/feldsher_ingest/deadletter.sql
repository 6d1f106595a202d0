-- Dead letters for the command line.

-- name: listed
-- The newest dead letters, without their payloads.
select id, received_at, seen, topic, ''::bytea as payload, cause, reason, gateway, message_id, kind, repaired_at
from dead_letter where repaired_at is null or %(repaired)s order by id desc limit %(limit)s;

-- name: shown
-- One dead letter, whole.
select id, received_at, seen, topic, payload, cause, reason, gateway, message_id, kind, repaired_at
from dead_letter where id = %(id)s;

-- name: repaired!
-- Notes that a dead letter was replayed and stored.
update dead_letter set repaired_at = now(), repaired_by = %(who)s where id = %(id)s;
