-- Certificates of gateways, each issued one by its serial number: renewal rotates keys, revocation reaches all of them.

CREATE TABLE cloud.certificate (
    serial text PRIMARY KEY,
    gateway text NOT NULL REFERENCES cloud.gateway,
    pem text,
    issued_at timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    replaces text REFERENCES cloud.certificate,
    used_at timestamptz,
    superseded_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX ON cloud.certificate (gateway, issued_at);
-- One successor at a time: a gateway that asks again while it has none in use gets the same one, or the first is revoked.
CREATE UNIQUE INDEX certificate_successor ON cloud.certificate (replaces)
    WHERE used_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL;
COMMENT ON TABLE cloud.certificate IS 'Every certificate issued to a gateway: what it replaces, since when it is used, and when it was superseded (may not renew any more) or revoked';
COMMENT ON COLUMN cloud.certificate.pem IS 'The certificate, to answer a repeated renewal with the same one; null for those issued before this table';
COMMENT ON COLUMN cloud.certificate.used_at IS 'When its gateway said that it had connected with it; null: a successor on trial';

INSERT INTO cloud.certificate (serial, gateway, issued_at, expires, used_at)
SELECT certificate_serial, id, coalesce(claimed_at, created), coalesce(certificate_expires, created), coalesce(claimed_at, created)
FROM cloud.gateway WHERE certificate_serial IS NOT NULL;

CREATE TABLE cloud.release_key (
    public text PRIMARY KEY,
    name text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON TABLE cloud.release_key IS 'Public keys (P-256 point, base64) whose owners sign updates; pinned by a gateway when it is claimed. Their private keys are never here';

GRANT SELECT, INSERT, UPDATE ON cloud.certificate TO feldsher_api, feldsher_worker;
GRANT SELECT ON cloud.release_key TO feldsher_api, feldsher_worker;
