-- psql: what a person or a script does with it. Prints the same with and without a gateway.
\set ON_ERROR_STOP 0
\pset null '(null)'
\encoding
CREATE TABLE p_team (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', born date, part int4range, CHECK (id > 0));
CREATE TABLE p_player (id serial PRIMARY KEY, team int REFERENCES p_team ON DELETE CASCADE, doc jsonb, at timestamptz DEFAULT '2024-01-01Z');
CREATE INDEX p_player_team ON p_player (team);
CREATE VIEW p_view AS SELECT t.name, count(*) AS n FROM p_team t JOIN p_player p ON p.team = t.id GROUP BY t.name;
COMMENT ON TABLE p_team IS 'teams';
-- Comments and spaces alone.
;
/* nothing */ ;
INSERT INTO p_team SELECT g, 'team ' || g, date '2024-01-01' + g FROM generate_series(1, 30) g;
INSERT INTO p_player (team, doc) SELECT 1 + g % 30, jsonb_build_object('g', g) FROM generate_series(1, 300) g;
\d p_team
\d+ p_player
\dt p_*
\di p_*
\dv p_*
\ds p_*
\df twice
\sf twice
\l+ nothing
\dn
\du app
\copy p_team (id, name) FROM PROGRAM 'printf "101,from a program\n102,b\n"' CSV
\copy (SELECT id, name FROM p_team WHERE id > 100 ORDER BY id) TO STDOUT CSV HEADER
COPY p_team (id, name) FROM STDIN;
201	from stdin
202	\N
\.
COPY p_team (id, name) FROM STDIN (FORMAT csv);
201,"from, stdin"
202,b
\.
COPY (SELECT * FROM p_team WHERE id > 100 ORDER BY id) TO STDOUT;
\set FETCH_COUNT 7
SELECT id, name FROM p_team ORDER BY id LIMIT 20;
SELECT 1 / (id - 15) FROM p_team ORDER BY id;
\set FETCH_COUNT 0
SELECT count(*) AS players FROM p_player \gset
\echo :players
SELECT format('SELECT %s AS made', g) FROM generate_series(1, 3) g \gexec
SELECT * FROM p_team WHERE id = 1 \gx
SELECT id, team, 1 FROM p_player WHERE id < 4 ORDER BY 1 \crosstabview
SELECT 1 AS a, 'x' AS b \gdesc
BEGIN;
SAVEPOINT one;
SELEC 1;
SELECT 1;
ROLLBACK TO one;
UPDATE p_team SET name = 'changed' WHERE id = 1;
SAVEPOINT two;
INSERT INTO p_team (id) VALUES (1);
ROLLBACK TO two;
RELEASE two;
DECLARE walk SCROLL CURSOR FOR SELECT id FROM p_team ORDER BY id;
FETCH 3 FROM walk;
FETCH BACKWARD 1 FROM walk;
FETCH ABSOLUTE 5 FROM walk;
MOVE FORWARD 2 IN walk;
FETCH FROM walk;
CLOSE walk;
COMMIT;
BEGIN; INSERT INTO p_team (id) VALUES (501); COMMIT AND CHAIN; INSERT INTO p_team (id) VALUES (502); ROLLBACK AND CHAIN; SELECT count(*) FROM p_team WHERE id > 500; COMMIT;
SELECT 1 AS one\; SELECT 2 AS two\; SELECT nope\; SELECT 3;
INSERT INTO p_team (id) VALUES (601)\; SELECT id FROM p_team WHERE id = 601\; SELECT 1/0;
SELECT count(*) FROM p_team WHERE id = 601;
INSERT INTO p_team (id) VALUES (602)\; UPDATE p_team SET name = 'y' WHERE id = 602\; SELECT name FROM p_team WHERE id = 602;
PREPARE by_id (int) AS SELECT name FROM p_team WHERE id = $1;
EXECUTE by_id (1);
EXECUTE by_id ('x');
PREPARE change (int, text) AS UPDATE p_team SET name = $2 WHERE id = $1 RETURNING *;
EXECUTE change (2, 'prepared');
DEALLOCATE by_id;
DEALLOCATE ALL;
MERGE INTO p_team t USING (VALUES (1, 'merged'), (900, 'new')) AS s (id, name) ON t.id = s.id
  WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name);
WITH gone AS (DELETE FROM p_team WHERE id = 900 RETURNING *) SELECT count(*) FROM gone;
EXPLAIN (COSTS OFF) SELECT * FROM p_team WHERE id = 1;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT * FROM p_team WHERE id = 1;
SET search_path = pg_catalog, public;
SHOW search_path;
RESET search_path;
RESET ALL;
SHOW statement_timeout \gset was_
SELECT current_setting('default_transaction_isolation'), current_user, session_user;
DO $$ BEGIN RAISE NOTICE 'from a block: %', 7; RAISE EXCEPTION 'made up' USING ERRCODE = 'P0007', HINT = 'a hint', DETAIL = 'a detail'; END $$;
CREATE TEMP TABLE p_temp AS SELECT * FROM p_team WHERE id < 4;
SELECT * FROM p_temp;
ALTER TABLE p_team ADD COLUMN extra int DEFAULT 5;
ALTER TABLE p_team RENAME COLUMN extra TO more;
SELECT more FROM p_team WHERE id = 1;
ALTER TABLE p_team DROP COLUMN more;
CREATE TABLE p_parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE p_part_1 PARTITION OF p_parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO p_parts VALUES (1, '2024-06-01');
INSERT INTO p_parts VALUES (1, '2026-06-01');
SELECT tableoid::regclass, * FROM p_parts;
VACUUM p_team;
ANALYZE p_team;
CREATE INDEX CONCURRENTLY p_team_name ON p_team (name);
SELECT * FROM p_team WHERE id = 3 FOR UPDATE;
SELECT pg_advisory_lock(7), pg_advisory_unlock(7);
SELECT lastval(), nextval('p_player_id_seq'), currval('p_player_id_seq');
TABLE p_view ORDER BY 1 LIMIT 2;
VALUES (1, 'a'), (2, NULL);
SELECT E'\\x41'::bytea, '\\'::text, U&'\0041', $q$dollar$q$;
DROP VIEW p_view;
DROP TABLE p_parts;
DROP TABLE p_player, p_team;
