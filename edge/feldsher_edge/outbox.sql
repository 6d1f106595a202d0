-- The outbox of one gateway. user_version 2; how version 1 becomes it is told in store.py.

-- Messages as they go over the wire. state: 0 waiting, 1 receipted, 2 held (a recording whose interpretation runs).
-- rank: order of sending; the priority class (0 alarms, 1 ECG, 2 vital signs, 3 continuous), plus 10 where it is sent
-- again on request. up_s: seconds this gateway had been running, over all its starts, when the row was made or
-- receipted: ages are counted in it, because the wall clock may jump by years. readings: measured values' readings in
-- it, for the record of losses. thin: 1 where readings of it were thinned out. receipt: first letter of the receipt's
-- state, '-' without one: always one byte, so that SQLite changes it in place and does not write the body again.
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    class INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    state INTEGER NOT NULL,
    made_us INTEGER NOT NULL,
    up_s INTEGER NOT NULL,
    receipt TEXT,
    size INTEGER NOT NULL,
    body BLOB NOT NULL,
    device TEXT,
    readings INTEGER NOT NULL DEFAULT 0,
    thin INTEGER NOT NULL DEFAULT 0
);
-- every call finds its rows through one of these, however many wait or are kept
CREATE INDEX IF NOT EXISTS message_queue ON message (state, rank, up_s);
CREATE INDEX IF NOT EXISTS message_made ON message (state, made_us);
CREATE INDEX IF NOT EXISTS message_unthinned ON message (up_s)
    WHERE state = 0 AND rank = 3 AND kind = 'vitals' AND thin = 0;

-- Rows and bytes per class and state, kept by the triggers below: bounds are checked at every put.
CREATE TABLE IF NOT EXISTS tally (
    class INTEGER NOT NULL,
    state INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (class, state)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS message_in AFTER INSERT ON message BEGIN
    INSERT INTO tally VALUES (new.class, new.state, 1, new.size)
    ON CONFLICT (class, state) DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER IF NOT EXISTS message_out AFTER DELETE ON message BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - old.size WHERE class = old.class AND state = old.state;
END;
CREATE TRIGGER IF NOT EXISTS message_moved AFTER UPDATE OF state, size, class ON message BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - old.size WHERE class = old.class AND state = old.state;
    INSERT INTO tally VALUES (new.class, new.state, 1, new.size)
    ON CONFLICT (class, state) DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
END;

-- What was dropped and is not yet in a Gap message.
CREATE TABLE IF NOT EXISTS ledger (
    what TEXT NOT NULL,
    why TEXT NOT NULL,
    device TEXT NOT NULL DEFAULT '',
    count INTEGER NOT NULL,
    readings INTEGER NOT NULL DEFAULT 0,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    PRIMARY KEY (what, why, device)
) WITHOUT ROWID;

-- What the broker refused, with its reason: kept, reported, never sent by itself.
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    class INTEGER NOT NULL,
    made_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    device TEXT,
    readings INTEGER NOT NULL DEFAULT 0
);

-- Orders of ECGs, by order id; state as in feldsher_ehr_core.wire.OrderState.
CREATE TABLE IF NOT EXISTS orders (
    id BLOB PRIMARY KEY,
    device TEXT NOT NULL,
    command BLOB NOT NULL,
    state TEXT NOT NULL,
    detail TEXT,
    arrived_us INTEGER NOT NULL,
    lapses_us INTEGER NOT NULL,
    boot BLOB NOT NULL,
    lapses_mono_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_open ON orders (state, device);

-- Small facts by name: how often the daemon started, the wanted configuration.
CREATE TABLE IF NOT EXISTS fact (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Files and DICOM objects of foreign cardiographs that were taken, by the SHA-256 of their bytes: none is taken twice.
-- uid: SHA-256 of a SOP Instance UID; samples: SHA-256 of what it says was measured. state: taken, or quarantined (not
-- understood). kept: 1 while the sealed original is on the disk. up_s: as in message.
CREATE TABLE IF NOT EXISTS original (
    sha256 BLOB PRIMARY KEY,
    uid BLOB NOT NULL,
    samples BLOB NOT NULL,
    device TEXT NOT NULL,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    up_s INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS original_uid ON original (uid) WHERE uid <> x'';
CREATE INDEX IF NOT EXISTS original_age ON original (kept, up_s);
