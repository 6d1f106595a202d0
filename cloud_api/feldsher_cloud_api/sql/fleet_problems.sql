-- What of the fleet needs a technician. One branch per code; limits come from fleet/limits.toml.
-- Columns: gateway, device (null: the gateway itself), name, code, urgent, since, figure (what the sentence needs).

-- name: problems
-- All that needs a technician, the urgent first, then the oldest, after a place; each row with how many there are in all.
WITH g AS MATERIALIZED (
    SELECT g.id, g.claimed_at, g.certificate_serial, g.certificate_expires, g.claim_expires, g.created, g.life, g.life_at,
        s.seen_at, s.state, s.clock, s.outbox_rows, s.oldest_at,
        s.seen_at > :now::timestamptz - make_interval(hours => :gateway_silent_hours) AS heard
    FROM cloud.gateway g LEFT JOIN public.gateway_state s ON s.gateway = g.id
    WHERE g.revoked_at IS NULL AND g.life <> 'retired'
), d AS MATERIALIZED (
    SELECT d.id, coalesce(d.label, d.address) AS name, d.kind, d.life, d.life_at, d.registered_at, x.gateway, x.local_name,
        x.last_seen
    FROM cloud.device d
    LEFT JOIN LATERAL (SELECT gateway, local_name, last_seen FROM cloud.gateway_device
                       WHERE device = d.id ORDER BY last_seen DESC NULLS LAST LIMIT 1) x ON true
    WHERE d.life <> 'retired'
), checked AS (
    SELECT DISTINCT ON (device) device, due_on FROM cloud.calibration ORDER BY device, done_on DESC, entered_at DESC
), status AS (
    SELECT d.id, s.state, s.detail, s.at, b.battery, b.at AS battery_at
    FROM d
    LEFT JOIN LATERAL (SELECT state, detail, at FROM public.device_status
                       WHERE device = d.local_name AND gateway = d.gateway ORDER BY at DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT battery, at FROM public.device_status WHERE device = d.local_name AND gateway = d.gateway
                       AND battery IS NOT NULL ORDER BY at DESC LIMIT 1) b ON true
), found AS MATERIALIZED (
    SELECT id AS gateway, NULL::uuid AS device, id AS name, 'silent' AS code, true AS urgent,
        coalesce(seen_at, claimed_at, created) AS since, NULL::text AS figure
    FROM g WHERE life = 'ready' AND NOT coalesce(heard, false) AND (seen_at IS NOT NULL OR (
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
    SELECT l.gateway, NULL, l.gateway, 'losses', true, min(l.received_at), (sum(l.readings) || ' / ' || sum(l.count))
    FROM cloud.gateway_loss l JOIN g ON g.id = l.gateway
    WHERE l.received_at > :now::timestamptz - make_interval(days => :losses_days) GROUP BY l.gateway
    UNION ALL
    SELECT id, NULL, id, 'claim', false, claim_expires, NULL
    FROM g WHERE life = 'ready' AND certificate_serial IS NULL AND seen_at IS NULL AND claim_expires <= :now
    UNION ALL
    SELECT id, NULL, id, 'return', false, life_at, NULL
    FROM g WHERE life = 'returning' AND life_at < :now::timestamptz - make_interval(days => :return_days)
    UNION ALL
    SELECT r.gateway, NULL, r.gateway, 'configuration_failed', true, r.config_at, r.config_detail
    FROM cloud.fleet_standing r JOIN g ON g.id = r.gateway
    WHERE r.config_differs AND r.config_state IN ('refused', 'rolled-back', 'failed')
    UNION ALL
    SELECT r.gateway, NULL, r.gateway, 'configuration', false, r.config_at, r.config_wanted::text
    FROM cloud.fleet_standing r JOIN g ON g.id = r.gateway
    WHERE r.config_differs AND r.config_state IN ('waiting', 'working', 'lapsed')
        AND r.config_at < :now::timestamptz - make_interval(hours => :configuration_hours)
    UNION ALL
    SELECT r.gateway, NULL, r.gateway, 'update_failed', true, r.reported_at, coalesce(r.update_version, '') || ' ' || coalesce(r.update_detail, '')
    FROM cloud.fleet_standing r JOIN g ON g.id = r.gateway
    WHERE r.update_differs AND r.update_state IN ('refused', 'rolled-back', 'failed')
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'silent', false, coalesce(d.last_seen, p.since), NULL
    FROM d JOIN (SELECT device, min(since) AS since FROM cloud.device_period
                 WHERE since <= :now AND (until IS NULL OR until > :now) GROUP BY device) p ON p.device = d.id
    WHERE greatest(d.last_seen, p.since) < :now::timestamptz - make_interval(days => :device_silent_days)
    UNION ALL
    SELECT d.gateway, d.id, d.name, CASE WHEN c.due_on <= :now::date THEN 'calibration_over' ELSE 'calibration' END,
        c.due_on <= :now::date, c.due_on::timestamptz, c.due_on::text
    FROM d JOIN checked c ON c.device = d.id WHERE c.due_on <= :now::date + :calibration_days::int
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'calibration_missing', false, d.registered_at, NULL
    FROM d WHERE d.kind = ANY (:checked_kinds) AND NOT EXISTS (SELECT FROM checked c WHERE c.device = d.id)
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'battery', false, s.battery_at, s.battery::text
    FROM d JOIN status s ON s.id = d.id WHERE s.battery <= :battery_percent
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'fault', true, s.at, s.detail FROM d JOIN status s ON s.id = d.id WHERE s.state = 'fault'
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'to_clean', false, d.life_at, NULL FROM d WHERE d.life = 'to_clean'
    UNION ALL
    SELECT d.gateway, d.id, d.name, 'unassigned', false, u.since, u.waiting::text
    FROM d JOIN cloud.device_unassigned u ON u.device = d.id
), placed AS MATERIALIZED (
    SELECT *, concat_ws(' ', CASE WHEN urgent THEN 0 ELSE 1 END,
                        to_char(coalesce(since, :now) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
                        coalesce(device::text, gateway), code) AS place
    FROM found
    WHERE (:code::text IS NULL OR code = :code)
      AND (:gateways::text[] IS NULL OR (gateway = ANY (:gateways) AND device IS NULL))
      AND (:devices::uuid[] IS NULL OR device = ANY (:devices))
)
SELECT gateway, device, name, code, urgent, since, figure, place, (SELECT count(*) FROM placed) AS total
FROM placed WHERE :after::text IS NULL OR place COLLATE "C" > :after ORDER BY place COLLATE "C" LIMIT :most;
