-- name: begin!
-- A new export; the settled transaction is read before anything else is.
INSERT INTO cloud.bulk_export (id, person, request, asked, transaction_time, settled, beat, expires)
VALUES (:id, :person, :request, :asked, :now, fhir.settled(), :now, :expires);

-- name: running$
-- How many exports of the asking person are being written, by processes that live.
SELECT count(*) FROM cloud.bulk_export WHERE state = 'running' AND beat > :stale;

-- name: find^
-- One export of the asking person.
SELECT id, request, asked, transaction_time, state, beat, files, reason, expires FROM cloud.bulk_export
WHERE id = :id AND expires > :now;

-- name: take_over$
-- Whether an export whose process has died is this one's now; its files begin anew.
WITH taken AS (
    UPDATE cloud.bulk_export SET beat = :now WHERE id = :id AND state = 'running' AND beat < :stale RETURNING id
), emptied AS (DELETE FROM cloud.bulk_piece WHERE export IN (SELECT id FROM taken))
SELECT count(*) > 0 FROM taken;

-- name: beat$
-- Whether the export still wants to be written: it may have been cancelled meanwhile.
WITH beaten AS (UPDATE cloud.bulk_export SET beat = :now WHERE id = :id AND state = 'running' RETURNING id)
SELECT count(*) > 0 FROM beaten;

-- name: piece!
INSERT INTO cloud.bulk_piece (export, file, piece, data) VALUES (:id, :file, :piece, :data);

-- name: end!
UPDATE cloud.bulk_export SET state = :state, files = :files, reason = :reason WHERE id = :id;

-- name: forget!
-- Its files go; when it looked stays known for exports since then.
WITH gone AS (DELETE FROM cloud.bulk_piece WHERE export = :id)
UPDATE cloud.bulk_export SET files = '[]', expires = :now, state = CASE state WHEN 'running' THEN 'failed' ELSE state END
WHERE id = :id;

-- name: piece_of$
-- One piece of a file.
SELECT data FROM cloud.bulk_piece WHERE export = :id AND file = :file AND piece = :piece;

-- name: deleted
-- What was deleted since a moment, for the asking person to see.
SELECT type, id FROM fhir.change WHERE method = 'DELETE' AND type = ANY (:types)
AND (updated >= :since OR txid >= app.exported_until(:since));

-- name: sweep!
SELECT app.sweep_exports(:now);
