-- name: known^
-- Whether a gateway is registered, revoked, and claimed.
SELECT revoked_at IS NOT NULL, certificate_serial IS NOT NULL FROM cloud.gateway WHERE id = :gateway;

-- name: add!
-- Ask something of a gateway.
INSERT INTO cloud.gateway_task
    (id, gateway, kind, device, payload, reason, asked_by, person, created, expires_at)
VALUES (:id, :gateway, :kind, :device, :payload, :reason, :asked_by, :person, :created, :expires);

-- name: due
-- Tasks to be published now, oldest first, each by one worker; a task begun is due again when its gateway starts anew.
SELECT id, gateway, kind, payload, state, sent, expires_at FROM cloud.gateway_task
WHERE state IN ('waiting', 'working') AND due_at <= clock_timestamp() AND expires_at > :now
ORDER BY created, id LIMIT 100 FOR UPDATE SKIP LOCKED;

-- name: sent!
-- A task has been handed to the broker; it is due again after `again` seconds (null: only when its gateway starts anew).
UPDATE cloud.gateway_task SET sent = sent + 1, sent_at = clock_timestamp(),
    due_at = coalesce(clock_timestamp() + :again * interval '1 second', 'infinity')
WHERE id = :id;

-- name: again!
-- A gateway is there (again): what it has not answered or not ended is told to it at once.
UPDATE cloud.gateway_task SET due_at = clock_timestamp() WHERE gateway = :gateway AND state IN ('waiting', 'working');

-- name: answered!
-- A gateway's word about a task. An older word changes nothing, and what has ended is not begun again by a repeat. That a
-- task lapsed or was withdrawn is our own guess or wish: any word of the gateway is nearer to the truth.
UPDATE cloud.gateway_task SET state = :state, detail = :detail, state_at = :at, due_at = 'infinity',
    answered_at = coalesce(answered_at, :at)
WHERE id = :id AND gateway = :gateway
  AND (state IN ('lapsed', 'withdrawn') OR coalesce(state_at, '-infinity') <= :at)
  AND (:state <> 'working' OR state IN ('waiting', 'working', 'lapsed', 'withdrawn'));

-- name: configuration_task$
-- The task that brought a version of a gateway's configuration.
SELECT task FROM cloud.gateway_configuration WHERE gateway = :gateway AND version = :version;

-- name: update_task$
-- The newest task that brought an update of a sequence to a gateway itself and that it has answered: what it reports of a
-- sequence may still be about an earlier attempt.
SELECT t.id FROM cloud.rollout_target x
JOIN cloud.gateway_task t ON t.id = x.task
JOIN cloud.rollout o ON o.id = x.rollout
JOIN cloud.artefact a ON a.sha256 = o.artefact
WHERE x.gateway = :gateway AND x.device = '' AND a.sequence = :sequence
  AND t.answered_at IS NOT NULL ORDER BY t.created DESC, t.id DESC LIMIT 1;

-- name: lost_configuration!
-- A gateway that had a configuration reports that it has never seen it: another machine, or an emptied one, has taken its
-- place. It is told again what is wanted.
UPDATE cloud.gateway_task SET state = 'waiting', detail = 'the gateway has it no more; it is sent again', state_at = :at,
    answered_at = NULL, due_at = clock_timestamp(), sent = 0, expires_at = greatest(expires_at, :expires)
WHERE id = (SELECT c.task FROM cloud.gateway_configuration c JOIN cloud.gateway_task t ON t.id = c.task
            WHERE c.gateway = :gateway AND t.state = 'applied' AND c.version > :seen AND t.state_at < :at
            ORDER BY c.version DESC LIMIT 1)
  AND NOT EXISTS (SELECT FROM cloud.gateway_task o
                  WHERE o.gateway = :gateway AND o.kind = 'config' AND o.state IN ('waiting', 'working'));

-- name: open
-- What a gateway was asked and has not ended.
SELECT id FROM cloud.gateway_task WHERE gateway = :gateway AND state IN ('waiting', 'working');

-- name: withdraw
-- Take back what a gateway has not begun; returns what was taken back.
UPDATE cloud.gateway_task SET state = 'withdrawn', detail = :why, state_at = :now
WHERE id = ANY (:ids) AND state = 'waiting' RETURNING id;

-- name: call_off!
-- Take back what a gateway was asked of one kind, begun or not: another machine is to bear its name.
UPDATE cloud.gateway_task SET state = 'withdrawn', detail = :why, state_at = :now
WHERE gateway = :gateway AND kind = :kind AND state IN ('waiting', 'working');

-- name: open_of_kind
-- What a gateway was asked of one kind and has not ended, newest first.
SELECT id FROM cloud.gateway_task
WHERE gateway = :gateway AND kind = :kind AND state IN ('waiting', 'working') AND expires_at > :now
ORDER BY created DESC, id DESC;

-- name: lapse
-- End the tasks whose time is over; each is named once.
UPDATE cloud.gateway_task SET state = 'lapsed', state_at = :now,
    detail = CASE WHEN answered_at IS NULL THEN 'the gateway did not answer' ELSE 'the gateway did not say how it ended' END
WHERE state IN ('waiting', 'working') AND expires_at <= :now RETURNING id, gateway, kind;

-- name: of_gateway
-- What a gateway was asked, newest first.
SELECT id, kind, device, reason, asked_by, created, expires_at, sent, sent_at, state, detail, state_at
FROM cloud.gateway_task WHERE gateway = :gateway ORDER BY created DESC, id DESC LIMIT :most;

-- name: one^
-- One task.
SELECT id, kind, device, reason, asked_by, created, expires_at, sent, sent_at, state, detail, state_at
FROM cloud.gateway_task WHERE id = :id;
