-- name: trust!
-- A release key whose updates are believed; one that was retired comes back.
INSERT INTO cloud.release_key (public, name, added_at) VALUES (:public, :name, :now)
ON CONFLICT (public) DO UPDATE SET name = excluded.name, retired_at = NULL;

-- name: retire$
-- A release key is not trusted any more; returns its public part.
UPDATE cloud.release_key SET retired_at = :now WHERE name = :name AND retired_at IS NULL RETURNING public;

-- name: keys
-- All release keys.
SELECT name, public, added_at, retired_at FROM cloud.release_key ORDER BY added_at, public;

-- name: add!
-- A signed update that may be offered; the same again changes nothing, unless the key that signed it is retired: then
-- another's signature takes its place.
INSERT INTO cloud.artefact AS a
    (sha256, kind, version, sequence, target, python, board, size, manifest, signature, release_key, added_by, added_at)
VALUES (:sha256, :kind, :version, :sequence, :target, :python, :board, :size, :manifest, :signature, :release_key,
    :added_by, :now)
ON CONFLICT (sha256) DO UPDATE SET version = excluded.version, sequence = excluded.sequence, target = excluded.target,
    python = excluded.python, board = excluded.board, manifest = excluded.manifest, signature = excluded.signature,
    release_key = excluded.release_key
    WHERE (SELECT k.retired_at IS NOT NULL FROM cloud.release_key k WHERE k.public = a.release_key);

-- name: artefacts
-- Every update, newest first.
SELECT sha256, kind, version, sequence, target, python, board, size, added_by, added_at,
       (SELECT name FROM cloud.release_key k WHERE k.public = a.release_key)
FROM cloud.artefact a ORDER BY added_at DESC, sha256;

-- name: artefact
-- The updates whose SHA-256 begins so.
SELECT sha256, kind, version, sequence, target, python, board, size, added_by, added_at,
       (SELECT name FROM cloud.release_key k WHERE k.public = a.release_key)
FROM cloud.artefact a WHERE sha256 LIKE :beginning || '%%' ORDER BY sha256 LIMIT 2;

-- name: offer^
-- What a gateway is told of an update: manifest and signature, and whether its key is still trusted.
SELECT a.manifest, a.signature, k.retired_at IS NULL
FROM cloud.artefact a JOIN cloud.release_key k ON k.public = a.release_key WHERE a.sha256 = :sha256;

-- name: size$
-- The size of an update that the asking gateway may fetch; null where it was not offered.
SELECT size FROM cloud.artefact WHERE sha256 = :sha256;
