-- name: username^
-- The name under which a person signs in.
SELECT username FROM cloud.person WHERE id = :person;

-- name: key^
-- A person's sealed signing key.
SELECT salt, nonce, wrapped FROM cloud.signing_key WHERE person = :person;

-- name: recorded^
-- The hashes of the samples that a report interprets, and of the interpretation that it shows.
SELECT encode(e.sha256, 'hex'),
       encode(sha256(CASE WHEN r.reinterpreted_by IS NULL THEN e.interpretation ELSE i.interpretation END), 'hex')
FROM fhir.diagnosticreport r JOIN public.ecg_recording e ON e.id = r.recording
LEFT JOIN public.ecg_interpretation i ON i.recording = e.id AND i.engine = r.reinterpreted_by
WHERE r.id = :report;

-- name: recording_of^
-- The recording that a report interprets, and the later engine whose interpretation it shows, if any.
SELECT recording, reinterpreted_by FROM fhir.diagnosticreport WHERE id = :report AND recording IS NOT NULL;

-- name: add_signature!
-- Keep a signature with the exact bytes that were signed.
INSERT INTO cloud.signature (id, report, version, person, at, signed, jws)
VALUES (:id, :report, :version, :person, :at, :signed, :jws);

-- name: signatures
-- The signatures of a report with their signers' public keys.
SELECT s.version, s.signed, s.jws, k.public_pem
FROM cloud.signature s JOIN cloud.signing_key k ON k.person = s.person
WHERE s.report = :report ORDER BY s.version;

-- name: signed_reports
-- The reports that have a signature, or a status that only signing gives.
SELECT report FROM cloud.signature
UNION SELECT id FROM fhir.diagnosticreport
    WHERE terms && ARRAY[fhir.term('status=final'), fhir.term('status=amended'), fhir.term('status=corrected'),
        fhir.term('status=appended')] ORDER BY 1;

-- name: reseal!
-- Seal a person's signing key under their new password.
UPDATE cloud.signing_key SET salt = :salt, nonce = :nonce, wrapped = :wrapped WHERE person = :person;
