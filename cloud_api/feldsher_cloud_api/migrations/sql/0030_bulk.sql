-- Bulk export (hl7.org/fhir/uv/bulkdata): who asked for what, and the files until they are fetched or over.

CREATE TABLE cloud.bulk_export (
    id uuid PRIMARY KEY,
    person uuid NOT NULL REFERENCES cloud.person,
    request text NOT NULL,
    asked jsonb NOT NULL,
    transaction_time timestamptz NOT NULL,
    settled xid8 NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
    beat timestamptz NOT NULL,
    files jsonb NOT NULL DEFAULT '[]',
    reason text,
    expires timestamptz NOT NULL
);
CREATE INDEX ON cloud.bulk_export (transaction_time);
CREATE INDEX ON cloud.bulk_export (expires);
COMMENT ON TABLE cloud.bulk_export IS 'Bulk exports: request is the address asked, without its parameters'' values; files what there is to fetch';
COMMENT ON COLUMN cloud.bulk_export.settled IS
    'Every transaction before it had ended when the export began: an export since transaction_time takes all from it on';
COMMENT ON COLUMN cloud.bulk_export.beat IS 'When the process that writes the files last said so; who asks after a dead one takes over';

-- Not logged: files that a crash takes are written again, and a region's record need not go through the log twice.
CREATE UNLOGGED TABLE cloud.bulk_piece (
    export uuid NOT NULL,
    file text NOT NULL,
    piece int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (export, file, piece)
);
ALTER TABLE cloud.bulk_piece ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE cloud.bulk_piece IS 'The files of bulk exports in pieces, NDJSON';

CREATE FUNCTION app.exported_until(since timestamptz) RETURNS xid8 LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT settled FROM cloud.bulk_export WHERE transaction_time <= since ORDER BY transaction_time DESC LIMIT 1 $$;
COMMENT ON FUNCTION app.exported_until IS
    'From which transaction on an export since a moment has to look, so that none that committed late is skipped';

GRANT SELECT, INSERT, UPDATE, DELETE ON cloud.bulk_export, cloud.bulk_piece TO feldsher_api;
GRANT EXECUTE ON FUNCTION app.exported_until TO feldsher_api;
ALTER TABLE cloud.bulk_export ENABLE ROW LEVEL SECURITY;
ALTER TABLE cloud.bulk_piece ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON cloud.bulk_export TO feldsher_api
    USING (person = (SELECT app.person())) WITH CHECK (person = (SELECT app.person()));
CREATE POLICY own ON cloud.bulk_piece TO feldsher_api
    USING (export IN (SELECT id FROM cloud.bulk_export)) WITH CHECK (export IN (SELECT id FROM cloud.bulk_export));

CREATE FUNCTION app.sweep_exports(moment timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
    AS $$ WITH over AS (DELETE FROM cloud.bulk_piece WHERE export IN
              (SELECT id FROM cloud.bulk_export WHERE expires < moment) RETURNING 1)
          UPDATE cloud.bulk_export SET files = '[]' WHERE expires < moment AND files <> '[]' $$;
COMMENT ON FUNCTION app.sweep_exports IS 'Deletes the files whose time is over; that they were made stays known';
GRANT EXECUTE ON FUNCTION app.sweep_exports TO feldsher_api;
