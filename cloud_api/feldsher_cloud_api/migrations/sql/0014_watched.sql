-- Who is watched, as the assignments say; and the canary: test alarms that cross the whole line (cloud_api/canary.py).

-- ---------------------------------------------------------------- who is watched
CREATE FUNCTION cloud.watch_assignment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE public.watch_subject s SET during = 'empty' WHERE s.id = OLD.id;
        RETURN NULL;
    END IF;
    INSERT INTO public.watch_subject (id, device, user_no, subject, during)
    SELECT NEW.id, d.address, NEW.user_no, NEW.patient, NEW.during FROM cloud.device d WHERE d.id = NEW.device
    ON CONFLICT (id) DO UPDATE SET device = excluded.device, user_no = excluded.user_no, subject = excluded.subject,
        during = excluded.during;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cloud.watch_assignment IS 'Keeps ingest''s watch_subject equal to the assignments, in the transaction that changes them';
CREATE TRIGGER device_assignment_watch AFTER INSERT OR UPDATE OR DELETE ON cloud.device_assignment
    FOR EACH ROW EXECUTE FUNCTION cloud.watch_assignment();
COMMENT ON COLUMN public.watch_subject.device IS 'The record''s key of the device (feldsher_ehr_core.ids.device_key): its address in capitals where that is unique in the world, else gateway/name';

INSERT INTO public.watch_subject (id, device, user_no, subject, during)
SELECT a.id, d.address, a.user_no, a.patient, a.during FROM cloud.device_assignment a JOIN cloud.device d ON d.id = a.device;

-- ---------------------------------------------------------------- the canary
CREATE TABLE cloud.canary (
    shard int PRIMARY KEY,
    gateway text NOT NULL UNIQUE CHECK (gateway LIKE 'feldsher-canary-%'),
    every interval NOT NULL CHECK (every > interval '0'),
    since timestamptz NOT NULL,
    message uuid,
    tried_at timestamptz,
    began timestamptz,
    heard_s double precision,
    receipt_s double precision,
    stored_s double precision,
    seconds double precision,
    crossed_at timestamptz
);
COMMENT ON TABLE cloud.canary IS 'The test alarm of each shard: the newest trial and how far it came, and when one last came through. No row: none was ever sent';
COMMENT ON COLUMN cloud.canary.gateway IS 'The reserved name under which it is sent; nobody''s gateway bears one';
COMMENT ON COLUMN cloud.canary.every IS 'How often one is sent, as the worker is set: silence is counted by it';
COMMENT ON COLUMN cloud.canary.since IS 'Since when test alarms are sent';
COMMENT ON COLUMN cloud.canary.message IS 'Message of the newest trial';
COMMENT ON COLUMN cloud.canary.tried_at IS 'When the newest trial began, by the worker''s clock; began: by the database''s, from which the seconds count';
COMMENT ON COLUMN cloud.canary.heard_s IS 'Seconds until the broker acknowledged it';
COMMENT ON COLUMN cloud.canary.receipt_s IS 'Seconds until ingest had committed it and the receipt was back';
COMMENT ON COLUMN cloud.canary.stored_s IS 'Seconds until the transaction began that stored its alarm';
COMMENT ON COLUMN cloud.canary.seconds IS 'Seconds until the worker noted its alarm';
COMMENT ON COLUMN cloud.canary.crossed_at IS 'When a test alarm last came through, by the worker''s clock';

ALTER TABLE cloud.canary ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.canary TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY readers ON cloud.canary FOR SELECT TO feldsher_api USING ((SELECT app.sees_fleet()));
GRANT SELECT, INSERT, UPDATE ON cloud.canary TO feldsher_worker;
GRANT SELECT ON cloud.canary TO feldsher_api;

-- Chunks outside of these bounds are not looked at.
CREATE FUNCTION app.prune_canaries(before timestamptz) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
DECLARE
    sources int[] := ARRAY(SELECT s.no FROM public.vital_source s WHERE s.gateway IN (SELECT c.gateway FROM cloud.canary c));
    gone int;
BEGIN
    DELETE FROM public.vital_reading r WHERE r.source = ANY (sources) AND r.time < before
        AND r.key_time > before - interval '60 days' AND r.key_time < before + interval '15 hours';
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM public.message m USING cloud.canary c WHERE m.gateway = c.gateway
        AND m.made_at > before - interval '60 days' AND m.made_at < before;
    DELETE FROM public.watch_alert a WHERE a.limit_id = '00000000-0000-8000-8000-0000000ca4a2' AND a.raised_at < before;
    DELETE FROM public.vital_rollup r WHERE r.source = ANY (sources) AND r.day < before::date;
    DELETE FROM public.vital_dense d WHERE d.source = ANY (sources) AND d.day < before::date;
    RETURN gone;
END $$;
COMMENT ON FUNCTION app.prune_canaries IS 'Forgets canaries'' readings from before a time with all that was made of them, and nobody else''s; returns how many readings';
REVOKE ALL ON FUNCTION app.prune_canaries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.prune_canaries TO feldsher_worker;

-- Its subject is nobody; its limit, which every one of its readings breaks (canary.VALUES), is never due for review.
INSERT INTO public.watch_limit (id, version, subject, rule, severity, during) VALUES (
    '00000000-0000-8000-8000-0000000ca4a2', 1, '00000000-0000-8000-8000-0000000ca4a1',
    '{"rule": "range", "codes": [150021], "above": "150"}', 'note', tstzrange(NULL, NULL));
CREATE FUNCTION cloud.watch_canary() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- the name of its device is its own
    INSERT INTO public.watch_subject (id, device, subject, during) VALUES (
        md5('watched ' || NEW.gateway)::uuid, NEW.gateway || '/' || NEW.gateway,
        '00000000-0000-8000-8000-0000000ca4a1', tstzrange(NULL, NULL)) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cloud.watch_canary IS 'Has a canary watched like a patient''s device';
CREATE TRIGGER canary_watch AFTER INSERT ON cloud.canary FOR EACH ROW EXECUTE FUNCTION cloud.watch_canary();
