CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1);

-- `data` is sealed under the master key, `mark` under `data`.
CREATE TABLE keys (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;

CREATE TABLE agents (name TEXT PRIMARY KEY, row TEXT NOT NULL) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    token BLOB NOT NULL UNIQUE,
    opened INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    closed INTEGER,
    row TEXT NOT NULL
) STRICT;

CREATE TABLE upstreams (name TEXT PRIMARY KEY, row TEXT NOT NULL) STRICT;

CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    owner TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    asked INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    send_when_approved INTEGER NOT NULL,
    answer TEXT,
    row TEXT NOT NULL,
    canonical BLOB NOT NULL
) STRICT;
CREATE INDEX requests_by_digest ON requests (session, digest, state);
CREATE INDEX requests_by_state ON requests (state, asked);

CREATE TABLE pendings (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    parked INTEGER NOT NULL,
    row TEXT NOT NULL,
    canonical BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pendings_waiting_once ON pendings (session, digest) WHERE state = 'waiting';
CREATE INDEX pendings_by_state ON pendings (state, parked);

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    expires INTEGER NOT NULL,
    row TEXT NOT NULL
) STRICT;

CREATE TABLE break_glasses (
    agent TEXT PRIMARY KEY,
    expires INTEGER NOT NULL,
    row TEXT NOT NULL
) STRICT;

CREATE TABLE created (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    object TEXT NOT NULL,
    UNIQUE (session, object)
) STRICT;

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE credentials (name TEXT PRIMARY KEY, row TEXT NOT NULL, value BLOB NOT NULL) STRICT;

CREATE TABLE surrogates (
    mark BLOB PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    credential TEXT NOT NULL REFERENCES credentials (name) ON DELETE CASCADE
) STRICT;
CREATE INDEX surrogates_by_session ON surrogates (session, credential);

CREATE TABLE derived (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    host TEXT NOT NULL,
    mark BLOB NOT NULL,
    UNIQUE (session, mark)
) STRICT;

CREATE TABLE foreign_seen (
    mark BLOB PRIMARY KEY,
    session TEXT NOT NULL,
    place TEXT NOT NULL,
    call TEXT NOT NULL,
    seen INTEGER NOT NULL
) STRICT;
CREATE INDEX foreign_seen_by_session ON foreign_seen (session);

CREATE TABLE approver_proof (
    id TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    failures INTEGER NOT NULL,
    wait_until INTEGER NOT NULL
) STRICT;
