-- The canary: test alarms that cross the whole line, and what of them was seen at which leg.

-- name: add!
-- The canaries of all shards; those that are known stay as they are.
INSERT INTO cloud.canary (shard, gateway, every, since)
SELECT shard, gateway, :every, :now FROM unnest(:shards::int[], :gateways::text[]) AS c(shard, gateway)
ON CONFLICT (shard) DO UPDATE SET gateway = excluded.gateway, every = excluded.every;

-- name: take
-- Begin the trials that are due, each with its message; of two workers one gets a trial. One that has not crossed is
-- repeated ten times as soon, so that the end of a disturbance is seen.
UPDATE cloud.canary c SET message = t.message, tried_at = :now, began = clock_timestamp(),
    heard_s = NULL, receipt_s = NULL, stored_s = NULL, seconds = NULL
FROM unnest(:gateways::text[], :messages::uuid[]) AS t(gateway, message)
WHERE c.gateway = t.gateway
  AND (c.tried_at IS NULL OR c.tried_at + CASE WHEN c.seconds IS NULL THEN c.every / 10 ELSE c.every END <= :now)
RETURNING c.gateway, c.message;

-- name: heard!
-- The broker has acknowledged a trial's message.
UPDATE cloud.canary SET heard_s = extract(epoch FROM clock_timestamp() - began)
WHERE gateway = :gateway AND message = :message AND heard_s IS NULL;

-- name: receipted!
-- Ingest has committed a trial's message, and its receipt came back.
UPDATE cloud.canary SET receipt_s = extract(epoch FROM clock_timestamp() - began)
WHERE gateway = :gateway AND message = :message AND receipt_s IS NULL;

-- name: crossed!
-- A trial's alarm is here; `at`: when the transaction began that stored the alarm.
UPDATE cloud.canary SET crossed_at = :now, stored_s = extract(epoch FROM :at - began),
    seconds = extract(epoch FROM clock_timestamp() - began)
WHERE gateway = :gateway AND message = :message AND seconds IS NULL;

-- name: forget_event!
-- What a canary's event said is noted: the event goes, so that events are as many as the record has.
DELETE FROM public.event WHERE id = :id;

-- name: prune!
-- Forget canaries' readings from before a time, with all that was made of them.
SELECT app.prune_canaries(:before);

-- name: standing
-- Every canary: when its last test alarm has crossed, the newest trial and how long each of its legs took.
SELECT shard, every, since, tried_at, crossed_at, heard_s, receipt_s, stored_s, seconds FROM cloud.canary ORDER BY shard;
