-- Declared databases, and what was destroyed in each environment, for the damage budget.
CREATE TABLE databases (
    name TEXT PRIMARY KEY NOT NULL,
    row TEXT NOT NULL
) STRICT;
CREATE TABLE damage (
    owner TEXT NOT NULL,
    environment TEXT NOT NULL,
    at INTEGER NOT NULL,
    destroyed_rows INTEGER NOT NULL,
    destroyed_objects INTEGER NOT NULL
) STRICT;
CREATE INDEX damage_of ON damage (owner, environment, at);
