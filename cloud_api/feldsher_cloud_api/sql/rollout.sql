-- name: gateways
-- Gateways that an update of a sequence could be for, by what is known of their machines.
SELECT g.id, '' FROM cloud.gateway g
WHERE g.revoked_at IS NULL AND g.certificate_serial IS NOT NULL
  AND coalesce((g.detail #>> '{report,update}')::int, 0) < :sequence
  AND (:target = 'any' OR coalesce(g.detail #>> '{report,machine}', :target) = :target)
  AND coalesce(g.detail #>> '{report,python}', :python) = :python
ORDER BY g.id;

-- name: kits
-- Kits of our own making behind gateways that can be reached, under the names that these give them.
SELECT DISTINCT gd.gateway, gd.local_name
FROM cloud.gateway_device gd
JOIN cloud.gateway g ON g.id = gd.gateway
JOIN LATERAL (SELECT model FROM public.device_status s WHERE s.gateway = gd.gateway AND s.device = gd.local_name
              ORDER BY at DESC LIMIT 1) s ON s.model = :model
WHERE g.revoked_at IS NULL AND g.certificate_serial IS NOT NULL ORDER BY 1, 2;

-- name: add!
-- Begin a rollout.
INSERT INTO cloud.rollout (id, artefact, reason, asked_by, person, created, stages, least_applied, most_failed,
    observe_s, state_at)
VALUES (:id, :artefact, :reason, :asked_by, :person, :now, :stages, :least_applied, :most_failed, :observe_s, :now);

-- name: add_target!
-- Whom a rollout reaches, and in which stage.
INSERT INTO cloud.rollout_target (rollout, gateway, device, stage) VALUES (:rollout, :gateway, :device, :stage);

-- name: running
-- Rollouts to look after, each by one worker.
SELECT id, artefact, reason, asked_by, stages, least_applied, most_failed, observe_s, stage,
       coalesce(extract(epoch FROM :now - stage_at)::float8, 0)
FROM cloud.rollout WHERE state = 'running' ORDER BY created, id FOR UPDATE SKIP LOCKED;

-- name: targets
-- The targets of a rollout with the state of their offers; a gateway revoked since says nothing any more.
SELECT x.gateway, x.device, x.stage, t.id,
       CASE WHEN g.revoked_at IS NOT NULL AND coalesce(t.state, 'waiting') IN ('waiting', 'working', 'withdrawn')
            THEN 'lapsed' ELSE t.state END, t.detail, t.state_at
FROM cloud.rollout_target x JOIN cloud.gateway g ON g.id = x.gateway LEFT JOIN cloud.gateway_task t ON t.id = x.task
WHERE x.rollout = :rollout ORDER BY x.stage, x.gateway, x.device;

-- name: offered!
-- A target was offered the update.
UPDATE cloud.rollout_target SET task = :task WHERE rollout = :rollout AND gateway = :gateway AND device = :device;

-- name: at_stage!
-- A stage begins.
UPDATE cloud.rollout SET stage = :stage, stage_at = :now, why = :why WHERE id = :id;

-- name: why!
-- Why a rollout is where it is.
UPDATE cloud.rollout SET why = :why WHERE id = :id AND why IS DISTINCT FROM :why;

-- name: change$
-- A rollout is paused, halted, done, or goes on; returns its id where it was in one of the states given.
UPDATE cloud.rollout SET state = :state, why = :why, state_at = :now
WHERE id = :id AND state = ANY (:before) RETURNING id;

-- name: tolerate!
-- Another limit of failures, by a person who has looked at them.
UPDATE cloud.rollout SET most_failed = :most_failed WHERE id = :id;

-- name: rollouts
-- Every rollout, newest first, with how many targets stand how.
SELECT o.id, o.artefact, a.kind, a.version, a.sequence, o.reason, o.asked_by, o.created, o.stages, o.stage, o.state,
       o.why, o.state_at,
       (SELECT jsonb_object_agg(state, n) FROM (
            SELECT coalesce(t.state, 'not yet') AS state, count(*) AS n FROM cloud.rollout_target x
            LEFT JOIN cloud.gateway_task t ON t.id = x.task WHERE x.rollout = o.id GROUP BY 1) counted)
FROM cloud.rollout o JOIN cloud.artefact a ON a.sha256 = o.artefact
ORDER BY o.created DESC, o.id DESC LIMIT :most;
