-- name: claim
-- The next open events but alerts, locked until the end of the transaction; what another worker has claimed is skipped.
SELECT id, at, kind, gateway, message_id, body, attempts FROM public.event
WHERE done_at IS NULL AND parked_at IS NULL AND retry_at <= clock_timestamp() AND kind <> 'alert'
ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED;

-- name: claim_alerts
-- The next open alerts, in the same way.
SELECT id, at, kind, gateway, message_id, body, attempts FROM public.event
WHERE done_at IS NULL AND parked_at IS NULL AND retry_at <= clock_timestamp() AND kind = 'alert'
ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED;

-- name: done!
-- An event is projected.
UPDATE public.event SET done_at = clock_timestamp(), attempts = attempts + 1, error = NULL WHERE id = :id;

-- name: all_done!
-- Events are projected.
UPDATE public.event SET done_at = clock_timestamp(), attempts = attempts + 1, error = NULL WHERE id = ANY(:ids);

-- name: failed!
-- An event could not be projected: again later, and after too many attempts it is parked with its error.
UPDATE public.event SET attempts = attempts + 1, error = :error,
    retry_at = clock_timestamp() + :delay * interval '1 second',
    parked_at = CASE WHEN attempts + 1 >= :most THEN clock_timestamp() END
WHERE id = :id;

-- name: waiting$
-- Seconds until the next alert, or the next of all other events, may be tried again; null where none waits.
SELECT extract(epoch FROM min(retry_at) - clock_timestamp())::float8
FROM public.event WHERE done_at IS NULL AND parked_at IS NULL AND (kind = 'alert') = :alerts;

-- name: parked_count$
-- How many events were given up.
SELECT count(*) FROM public.event WHERE parked_at IS NOT NULL AND done_at IS NULL;

-- name: parked
-- The events that were given up, oldest first, each with its last error.
SELECT id, at, kind, gateway, message_id, attempts, parked_at, error FROM public.event
WHERE parked_at IS NOT NULL AND done_at IS NULL ORDER BY id;

-- name: unpark!
-- Try parked events again.
UPDATE public.event SET parked_at = NULL, attempts = 0, retry_at = clock_timestamp() WHERE parked_at IS NOT NULL;

-- name: due
-- Commands that have to be published now: new ones, and those unanswered since `again` seconds; none that has lapsed.
SELECT order_id, gateway, payload, expires_at FROM cloud.gateway_command
WHERE acknowledged_at IS NULL AND expires_at > clock_timestamp()
  AND (sent_at IS NULL OR sent_at < clock_timestamp() - :again * interval '1 second')
ORDER BY created FOR UPDATE SKIP LOCKED;

-- name: sent!
-- A command has been handed to the broker.
UPDATE cloud.gateway_command SET sent = sent + 1, sent_at = clock_timestamp() WHERE order_id = :order;

-- name: lapsed
-- Ends commands that nobody has acknowledged in time, and those armed of which the gateway then said nothing more for
-- `silence` seconds after their end; not while events of that gateway wait to be projected. Each is named once.
UPDATE cloud.gateway_command c SET state = 'lapsed', acknowledged_at = coalesce(acknowledged_at, clock_timestamp()),
    detail = CASE WHEN acknowledged_at IS NULL THEN 'no gateway answered' ELSE 'the gateway did not report' END
WHERE ((acknowledged_at IS NULL AND expires_at <= clock_timestamp())
       OR (state IN ('armed', 'recording') AND expires_at + :silence * interval '1 second' <= clock_timestamp()))
  AND NOT EXISTS (SELECT FROM public.event e WHERE e.gateway = c.gateway AND e.kind IN ('order', 'ecg')
                  AND e.done_at IS NULL AND e.parked_at IS NULL)
RETURNING order_id, detail;
