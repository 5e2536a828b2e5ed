//! One text of SQL, parsed by PostgreSQL's own grammar under limits.
