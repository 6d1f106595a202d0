-- name: has$
-- Whether a person has confirmed a second factor.
SELECT EXISTS (SELECT FROM cloud.second_factor WHERE person = :person AND confirmed IS NOT NULL);

-- name: begin$
-- Keep a new secret, or return the one that waits to be confirmed; nothing where one is confirmed.
INSERT INTO cloud.second_factor AS f (person, sealed, created) VALUES (:person, :sealed, :now)
ON CONFLICT (person) DO UPDATE SET created = f.created WHERE f.confirmed IS NULL
RETURNING sealed;

-- name: reserve^
-- Count an attempt before it is made; no row where there is no factor or it is locked.
UPDATE cloud.second_factor
SET failed = failed + 1,
    locked_until = CASE WHEN failed + 1 >= :free THEN
        :now::timestamptz + least(60 * power(2, least(failed + 1 - :free, 10)), 900) * interval '1 second' END
WHERE person = :person AND (locked_until IS NULL OR locked_until <= :now)
RETURNING sealed, confirmed;

-- name: forgive!
-- A right code ends the counting.
UPDATE cloud.second_factor SET failed = 0, locked_until = NULL WHERE person = :person;

-- name: use_step!
-- Use a time step up; no row where it or a later one has been used.
UPDATE cloud.second_factor SET last_step = :step WHERE person = :person AND last_step < :step;

-- name: confirm!
-- The person has shown that their app holds the secret.
UPDATE cloud.second_factor SET confirmed = :now WHERE person = :person;

-- name: add_code!
-- A recovery code.
INSERT INTO cloud.recovery_code (person, code_hash) VALUES (:person, :code_hash);

-- name: use_code!
-- Use a recovery code up.
UPDATE cloud.recovery_code SET used_at = :now WHERE person = :person AND code_hash = :code_hash AND used_at IS NULL;

-- name: forget_codes!
-- Forget a person's recovery codes.
DELETE FROM cloud.recovery_code WHERE person = :person;

-- name: remove!
-- Remove a person's second factor.
DELETE FROM cloud.second_factor WHERE person = :person;

-- name: codes_left$
-- How many recovery codes a person has left.
SELECT count(*) FROM cloud.recovery_code WHERE person = :person AND used_at IS NULL;
