-- name: reserve_attempt^
-- Count a sign-in attempt before it is made, so that parallel guesses cannot slip past the lock; no row where locked.
UPDATE cloud.account a
SET failed = failed + 1,
    locked_until = CASE WHEN failed + 1 >= :free THEN
        :now::timestamptz + least(60 * power(2, least(failed + 1 - :free, 10)), 900) * interval '1 second' END
FROM cloud.person p
WHERE p.id = a.person AND p.username = lower(:username) AND p.disabled_at IS NULL
  AND (a.locked_until IS NULL OR a.locked_until <= :now)
RETURNING a.person, a.password_hash;

-- name: forgive_attempts!
-- A right password ends the counting.
UPDATE cloud.account SET failed = 0, locked_until = NULL WHERE person = :person;

-- name: replace_hash!
-- Store a password's hash made with newer parameters.
UPDATE cloud.account SET password_hash = :password_hash WHERE person = :person;

-- name: is_locked$
-- Whether an account is locked at this moment.
SELECT EXISTS (SELECT FROM cloud.account a JOIN cloud.person p ON p.id = a.person
               WHERE p.username = lower(:username) AND a.locked_until > :now);

-- name: password_of^
-- The password hash of a person, for a second authentication.
SELECT p.username, a.password_hash FROM cloud.account a JOIN cloud.person p ON p.id = a.person WHERE p.id = :person;

-- name: principal^
-- What a person is; no row of values where unknown or disabled.
SELECT role, display, practitioner, patients FROM app.principal(:person);

-- name: open_session!
-- Remember a signed-in browser.
INSERT INTO cloud.session (token_hash, person, created, last_seen, expires, agent, factors)
VALUES (:token_hash, :person, :now, :now, :expires, :agent, :factors);

-- name: session_person^
-- Whose session this is, where it is neither over nor idle for too long.
SELECT person, last_seen FROM cloud.session WHERE token_hash = :token_hash AND expires > :now AND last_seen > :idle_since AND locked_at IS NULL;

-- name: session_id$
-- The public id of a session.
SELECT id FROM cloud.session WHERE token_hash = :token_hash;

-- name: touch_session!
-- Note that a session is in use.
UPDATE cloud.session SET last_seen = :now WHERE token_hash = :token_hash;

-- name: close_session!
-- End one session.
DELETE FROM cloud.session WHERE token_hash = :token_hash;

-- name: close_sessions_of!
-- End all sessions of a person.
DELETE FROM cloud.session WHERE person = :person;
