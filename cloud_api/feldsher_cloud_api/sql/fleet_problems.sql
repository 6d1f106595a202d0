-- What of the fleet needs a technician. One branch per code; limits come from fleet/limits.toml.
-- Every fact of a gateway or device is gathered once into g and d; the branches only filter: the cost grows
-- with the fleet and not with its square, whatever the planner believes of how many rows there are.

-- name: problems
-- All that needs a technician, the urgent first, then the oldest, after a place; each row with how many there are in all.
WITH g AS MATERIALIZED (
    SELECT g.id, g.claimed_at, g.certificate_serial, g.certificate_expires, g.claim_expires, g.created, g.life, g.life_at,
        s.seen_at, s.state, s.clock, s.outbox_rows, s.oldest_at, r.config_differs, r.config_state, r.config_at,
        r.config_detail, r.config_wanted, r.update_differs, r.update_state, r.update_version, r.update_detail,
        r.reported_at, l.told_at, l.lost,
        coalesce(s.seen_at > :now::timestamptz - make_interval(hours => :gateway_silent_hours), false) AS heard
    FROM cloud.gateway g
    LEFT JOIN public.gateway_state s ON s.gateway = g.id
    LEFT JOIN LATERAL (SELECT * FROM cloud.fleet_standing r WHERE r.gateway = g.id) r ON true
    LEFT JOIN LATERAL (
        SELECT min(received_at) AS told_at, sum(readings) || ' / ' || sum(count) AS lost FROM cloud.gateway_loss
        WHERE gateway = g.id AND received_at > :now::timestamptz - make_interval(days => :losses_days)) l ON true
    WHERE g.revoked_at IS NULL AND g.life <> 'retired'
      AND (:gateways::text[] IS NULL OR g.id = ANY (:gateways)) AND (:devices::uuid[] IS NULL OR :gateways::text[] IS NOT NULL)
), d AS MATERIALIZED (
    SELECT d.id, coalesce(d.label, d.address) AS name, d.kind, d.life, d.life_at, d.registered_at, x.gateway, x.last_seen,
        c.due_on, p.since AS assigned_since, s.state, s.detail, s.at, b.battery, b.at AS battery_at, u.waiting,
        u.since AS waiting_since
    FROM cloud.device d
    LEFT JOIN (SELECT DISTINCT ON (device) device, gateway, local_name, last_seen FROM cloud.gateway_device
               ORDER BY device, last_seen DESC NULLS LAST) x ON x.device = d.id  -- at once: no index leads by device
    LEFT JOIN LATERAL (SELECT due_on FROM cloud.calibration
                       WHERE device = d.id ORDER BY done_on DESC, entered_at DESC LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT min(since) AS since FROM cloud.device_period
                       WHERE device = d.id AND since <= :now AND (until IS NULL OR until > :now)) p ON true
    LEFT JOIN LATERAL (SELECT state, detail, at FROM public.device_status
                       WHERE device = x.local_name AND gateway = x.gateway ORDER BY at DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT battery, at FROM public.device_status WHERE device = x.local_name AND gateway = x.gateway
                       AND battery IS NOT NULL ORDER BY at DESC LIMIT 1) b ON true
    LEFT JOIN cloud.device_unassigned u ON u.device = d.id
    WHERE d.life <> 'retired'
      AND (:devices::uuid[] IS NULL OR d.id = ANY (:devices)) AND (:gateways::text[] IS NULL OR :devices::uuid[] IS NOT NULL)
), c AS MATERIALIZED (
    SELECT count(*) AS shards, count(*) FILTER (WHERE silent) AS silent,
        min(coalesce(crossed_at, since)) FILTER (WHERE silent) AS since,
        CASE min(leg) FILTER (WHERE silent) WHEN 1 THEN 'worker' WHEN 2 THEN 'broker' WHEN 3 THEN 'ingest' ELSE 'watch' END
            AS leg
    FROM (SELECT crossed_at, since, coalesce(crossed_at, since) + 2 * every < :now AS silent,  -- canary.MISSED
              CASE WHEN tried_at + 2 * every < :now OR tried_at IS NULL THEN 1 WHEN heard_s IS NULL THEN 2
                   WHEN receipt_s IS NULL THEN 3 ELSE 4 END AS leg FROM cloud.canary) one
    WHERE :gateways::text[] IS NULL AND :devices::uuid[] IS NULL
), found AS MATERIALIZED (
    SELECT NULL::text AS gateway, NULL::uuid AS device, silent || '/' || shards AS name, 'canary' AS code, true AS urgent,
        since, CASE WHEN shards = 0 THEN 'worker' ELSE leg END AS figure
    FROM c WHERE silent > 0 OR (shards = 0 AND :gateways::text[] IS NULL AND :devices::uuid[] IS NULL)
    UNION ALL
    SELECT id, NULL, id, 'silent', true, coalesce(seen_at, claimed_at, created), NULL
    FROM g WHERE life = 'ready' AND NOT heard AND (seen_at IS NOT NULL OR (
        certificate_serial IS NOT NULL AND claimed_at < :now::timestamptz - make_interval(hours => :gateway_silent_hours)))
    UNION ALL
    SELECT id, NULL, id, CASE WHEN certificate_expires <= :now THEN 'certificate_over' ELSE 'certificate' END,
        certificate_expires <= :now, certificate_expires, NULL
    FROM g WHERE life = 'ready' AND certificate_expires < :now::timestamptz + make_interval(days => :certificate_days)
    UNION ALL
    SELECT id, NULL, id, 'clock', false, seen_at, NULL FROM g WHERE life = 'ready' AND heard AND clock = 'unsynced'
    UNION ALL
    SELECT id, NULL, id, 'queue', true, oldest_at, outbox_rows::text
    FROM g WHERE life = 'ready' AND heard AND state = 'online' AND clock <> 'unsynced' AND outbox_rows > 0
        AND oldest_at < :now::timestamptz - make_interval(hours => :queue_hours)
    UNION ALL
    SELECT id, NULL, id, 'losses', true, told_at, lost FROM g WHERE told_at IS NOT NULL
    UNION ALL
    SELECT id, NULL, id, 'claim', false, claim_expires, NULL
    FROM g WHERE life = 'ready' AND certificate_serial IS NULL AND seen_at IS NULL AND claim_expires <= :now
    UNION ALL
    SELECT id, NULL, id, 'return', false, life_at, NULL
    FROM g WHERE life = 'returning' AND life_at < :now::timestamptz - make_interval(days => :return_days)
    UNION ALL
    SELECT id, NULL, id, 'configuration_failed', true, config_at, config_detail
    FROM g WHERE config_differs AND config_state IN ('refused', 'rolled-back', 'failed')
    UNION ALL
    SELECT id, NULL, id, 'configuration', false, config_at, config_wanted::text
    FROM g WHERE config_differs AND config_state IN ('waiting', 'working', 'lapsed')
        AND config_at < :now::timestamptz - make_interval(hours => :configuration_hours)
    UNION ALL
    SELECT id, NULL, id, 'update_failed', true, reported_at, coalesce(update_version, '') || ' ' || coalesce(update_detail, '')
    FROM g WHERE update_differs AND update_state IN ('refused', 'rolled-back', 'failed')
    UNION ALL
    SELECT gateway, id, name, 'silent', false, coalesce(last_seen, assigned_since), NULL
    FROM d WHERE greatest(last_seen, assigned_since) < :now::timestamptz - make_interval(days => :device_silent_days)
        AND assigned_since IS NOT NULL
    UNION ALL
    SELECT gateway, id, name, CASE WHEN due_on <= :now::date THEN 'calibration_over' ELSE 'calibration' END,
        due_on <= :now::date, due_on::timestamptz, due_on::text
    FROM d WHERE due_on <= :now::date + :calibration_days::int
    UNION ALL
    SELECT gateway, id, name, 'calibration_missing', false, registered_at, NULL
    FROM d WHERE kind = ANY (:checked_kinds) AND due_on IS NULL
    UNION ALL
    SELECT gateway, id, name, 'battery', false, battery_at, battery::text FROM d WHERE battery <= :battery_percent
    UNION ALL
    SELECT gateway, id, name, 'fault', true, at, detail FROM d WHERE state = 'fault'
    UNION ALL
    SELECT gateway, id, name, 'to_clean', false, life_at, NULL FROM d WHERE life = 'to_clean'
    UNION ALL
    SELECT gateway, id, name, 'unassigned', false, waiting_since, waiting::text FROM d WHERE waiting > 0
), placed AS MATERIALIZED (
    SELECT *, concat_ws(' ', CASE WHEN urgent THEN 0 ELSE 1 END,
                        to_char(coalesce(since, :now) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
                        coalesce(device::text, gateway, ''), code) AS place
    FROM found WHERE :code::text IS NULL OR code = :code
)
SELECT gateway, device, name, code, urgent, since, figure, place, (SELECT count(*) FROM placed) AS total
FROM placed WHERE :after::text IS NULL OR place COLLATE "C" > :after ORDER BY place COLLATE "C" LIMIT :most;
