-- Run it again at any time: it only puts right what is not. Everything happens in one transaction, or nothing.

-- The names that all that follows is about.
SET LOCAL killick.database = {database};
SET LOCAL killick.agent = {agent};
SET LOCAL killick.login = {login};
SET LOCAL killick.inspector = {inspector};
SET LOCAL killick.may_write = {may_write};
SET LOCAL killick.schemas = {schemas};

-- 1. The roles: one for agents' sessions, one that sees every row for the gateway, and the login that may become both.
DO $killick$
DECLARE
  agent text := current_setting('killick.agent');
  login text := current_setting('killick.login');
  inspector text := current_setting('killick.inspector');
  wanted text;
  it record;
BEGIN
  IF current_database() <> current_setting('killick.database') THEN
    RAISE EXCEPTION 'this is database %, and the statements are for %', current_database(), current_setting('killick.database');
  END IF;
  IF agent = login OR inspector = login OR agent = inspector THEN
    RAISE EXCEPTION 'the login, the role of agents and the inspector have to be three roles';
  END IF;
  FOREACH wanted IN ARRAY ARRAY[agent, inspector] LOOP
    SELECT * INTO it FROM pg_roles WHERE rolname = wanted;
    IF NOT FOUND THEN
      EXECUTE format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT NOLOGIN', wanted);
    ELSIF it.rolsuper OR it.rolcanlogin THEN
      RAISE EXCEPTION 'role % is there already, and is a superuser or somebody''s login', wanted
        USING HINT = 'choose another name with --role';
    ELSE
      IF it.rolcreatedb OR it.rolcreaterole THEN
        EXECUTE format('ALTER ROLE %I NOCREATEDB NOCREATEROLE', wanted);
      END IF;
      IF it.rolreplication THEN
        EXECUTE format('ALTER ROLE %I NOREPLICATION', wanted);
      END IF;
      IF it.rolbypassrls AND wanted = agent THEN
        EXECUTE format('ALTER ROLE %I NOBYPASSRLS', wanted);
      END IF;
    END IF;
    -- A member of no role: not of those that read and write the server's files, run programs or end sessions, nor of any other.
    FOR it IN SELECT r.rolname AS granted, pg_get_userbyid(m.grantor) AS grantor FROM pg_auth_members m
        JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles member ON member.oid = m.member WHERE member.rolname = wanted LOOP
      IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE format('REVOKE %I FROM %I GRANTED BY %I', it.granted, wanted, it.grantor);
      ELSE
        EXECUTE format('REVOKE %I FROM %I', it.granted, wanted);
      END IF;
    END LOOP;
    IF EXISTS (SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = wanted) THEN
      RAISE EXCEPTION 'role % is a member of other roles, and you may not change that', wanted;
    END IF;
    -- What a role owns it may empty and drop, whatever it was granted. Temporary tables go by themselves.
    IF EXISTS (SELECT 1 FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
        WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = wanted
          AND NOT EXISTS (SELECT 1 FROM pg_namespace n WHERE n.nspname ~ '^pg_(toast_)?temp_'
            AND (d.classid, d.objid) IN (SELECT 'pg_class'::regclass, c.oid FROM pg_class c WHERE c.relnamespace = n.oid
              UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typnamespace = n.oid
              UNION ALL SELECT 'pg_namespace'::regclass, n.oid))) THEN
      RAISE EXCEPTION 'role % owns objects, so it may drop them', wanted
        USING HINT = 'give them to another role (REASSIGN OWNED BY ... TO ...), or choose another name with --role';
    END IF;
  END LOOP;

  SELECT * INTO it FROM pg_roles WHERE rolname = login;
  IF NOT FOUND THEN
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', login);
    RAISE WARNING 'login % was made without a password: set one with \password %', login, login;
  ELSIF it.rolsuper THEN
    RAISE WARNING 'login % is a superuser: a session that leaves its role could do anything', login
      USING HINT = 'let the gateway log in as a user of its own';
  END IF;
  FOREACH wanted IN ARRAY ARRAY[agent, inspector] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = wanted)
        AND m.member = (SELECT oid FROM pg_roles WHERE rolname = login)) THEN
      EXECUTE format('GRANT %I TO %I', wanted, login);
    ELSIF current_setting('server_version_num')::int >= 160000 THEN
      -- Whoever makes a role is given its administration alone: not yet the right to become it.
      EXECUTE format('GRANT %I TO %I WITH SET TRUE', wanted, login);
    END IF;
  END LOOP;
  BEGIN
    EXECUTE format('ALTER ROLE %I BYPASSRLS', inspector);
  EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'only a superuser may let % see rows that row security hides', inspector;
  END;
END
$killick$;

-- 2. What the roles may do: see and change rows. Not TRUNCATE, REFERENCES or TRIGGER; views and foreign tables are
-- at most read, since what is written through them reaches further than the role.
DO $killick$
DECLARE
  agent text := current_setting('killick.agent');
  inspector text := current_setting('killick.inspector');
  may_write boolean := current_setting('killick.may_write')::boolean;
  asked text[] := current_setting('killick.schemas')::text[];
  it record;
  missed text[] := '{}';
BEGIN
  SELECT array_agg(a) INTO missed FROM unnest(asked) a WHERE NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = a);
  IF missed IS NOT NULL THEN
    RAISE EXCEPTION 'there is no schema %', missed[1];
  END IF;
  missed := '{}';
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I', current_database(), agent, inspector);
  EXECUTE format('REVOKE CREATE ON DATABASE %I FROM %I', current_database(), agent);
  FOR it IN SELECT nspname, nspname = ANY (asked) OR asked = '{}' AS chosen FROM pg_namespace
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    BEGIN
      EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', it.nspname, agent);
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', it.nspname, inspector);
      IF it.chosen THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', it.nspname, agent);
      END IF;
    EXCEPTION WHEN insufficient_privilege THEN
      missed := missed || format('%I', it.nspname);
    END;
  END LOOP;
  FOR it IN SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind, n.nspname = ANY (asked) OR asked = '{}' AS chosen
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LOOP
    BEGIN
      IF it.kind = 'S' THEN
        EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %I', it.name, agent);
        EXECUTE format('GRANT SELECT ON SEQUENCE %s TO %I', it.name, inspector);
        IF it.chosen THEN
          EXECUTE format('GRANT SELECT%s ON SEQUENCE %s TO %I', CASE WHEN may_write THEN ', USAGE' ELSE '' END, it.name, agent);
        END IF;
        CONTINUE;
      END IF;
      EXECUTE format('REVOKE ALL ON TABLE %s FROM %I', it.name, agent);
      EXECUTE format('REVOKE TRUNCATE, REFERENCES, TRIGGER ON TABLE %s FROM PUBLIC', it.name);
      IF it.kind <> 'f' THEN
        EXECUTE format('GRANT SELECT ON TABLE %s TO %I', it.name, inspector);
      END IF;
      IF it.chosen AND it.kind <> 'f' THEN
        EXECUTE format('GRANT SELECT%s ON TABLE %s TO %I',
          CASE WHEN may_write AND it.kind IN ('r', 'p') THEN ', INSERT, UPDATE, DELETE' ELSE '' END, it.name, agent);
      END IF;
    EXCEPTION WHEN insufficient_privilege THEN
      missed := missed || it.name;
    END;
  END LOOP;
  IF missed <> '{}' THEN
    RAISE WARNING 'you may not grant rights on % of the schemas and tables (%, ...): run this as their owner too',
      cardinality(missed), missed[1];
  END IF;
END
$killick$;

-- 3. What will be made later, by those who own what is there.
DO $killick$
DECLARE
  agent text := current_setting('killick.agent');
  inspector text := current_setting('killick.inspector');
  may_write boolean := current_setting('killick.may_write')::boolean;
  asked text[] := current_setting('killick.schemas')::text[];
  it record;
BEGIN
  FOR it IN SELECT DISTINCT pg_get_userbyid(o.owner) AS owner, n.nspname AS schema, n.nspname = ANY (asked) OR asked = '{}' AS chosen
      FROM pg_namespace n CROSS JOIN LATERAL (
        SELECT n.nspowner AS owner UNION SELECT relowner FROM pg_class WHERE relnamespace = n.oid
        UNION SELECT datdba FROM pg_database WHERE datname = current_database()) o
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND pg_get_userbyid(o.owner) NOT LIKE 'pg\_%' AND pg_has_role(o.owner, 'USAGE') LOOP
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I', it.owner, it.schema, inspector);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON SEQUENCES TO %I', it.owner, it.schema, inspector);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I REVOKE ALL ON TABLES FROM %I', it.owner, it.schema, agent);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I REVOKE ALL ON SEQUENCES FROM %I', it.owner, it.schema, agent);
    IF it.chosen THEN
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT%s ON TABLES TO %I', it.owner, it.schema,
        CASE WHEN may_write THEN ', INSERT, UPDATE, DELETE' ELSE '' END, agent);
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT%s ON SEQUENCES TO %I', it.owner, it.schema,
        CASE WHEN may_write THEN ', USAGE' ELSE '' END, agent);
    END IF;
  END LOOP;
END
$killick$;

-- 4. What everybody may do, and an agent should not. Every role that is there keeps what PUBLIC loses here: nothing of
-- yours stops working. Roles that are made later do not get it by themselves.
DO $killick$
DECLARE
  agent text := current_setting('killick.agent');
  keepers text;
  it record;
  kept_open int := 0;
  definers text[];
BEGIN
  SELECT string_agg(format('%I', rolname), ', ') INTO keepers FROM pg_roles
    WHERE NOT rolsuper AND rolname <> agent AND rolname !~ '^pg_'
      AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM 'killick: agents run as it';
  -- Whoever owns nothing of it is answered with a warning for each, so ownership is looked at first.
  FOR it IN SELECT nspname, pg_has_role(nspowner, 'USAGE') AS mine FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND EXISTS (SELECT 1 FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE') LOOP
    IF it.mine THEN
      EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', it.nspname);
      EXECUTE format('GRANT CREATE ON SCHEMA %I TO %s', it.nspname, keepers);
    ELSE
      kept_open := kept_open + 1;
    END IF;
  END LOOP;
  FOR it IN SELECT p.oid::regprocedure AS signature, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS what,
        pg_has_role(p.proowner, 'USAGE') AS mine FROM pg_proc p
      WHERE ((p.pronamespace = 'pg_catalog'::regnamespace AND p.proname::text IN ({server_functions}))
          OR EXISTS (SELECT 1 FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
              AND d.deptype = 'e' AND e.extname::text IN ({reaching_extensions}))
          OR p.prolang IN (SELECT oid FROM pg_language WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c')))
        AND EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) LOOP
    IF it.mine THEN
      EXECUTE format('REVOKE EXECUTE ON %s %s FROM PUBLIC', it.what, it.signature);
      EXECUTE format('GRANT EXECUTE ON %s %s TO %s', it.what, it.signature, keepers);
    ELSE
      kept_open := kept_open + 1;
    END IF;
  END LOOP;
  IF kept_open > 0 THEN
    RAISE WARNING '% functions and schemas stay open to everybody: only their owner, or a superuser, can close them', kept_open;
  END IF;
  SELECT array_agg(p.oid::regprocedure::text) INTO definers FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_function_privilege(agent, p.oid, 'EXECUTE');
  IF definers IS NOT NULL THEN
    RAISE WARNING 'the role may run % functions with their owners'' rights (SECURITY DEFINER): %', cardinality(definers),
      array_to_string(definers[1:10], ', ')
      USING HINT = 'where an agent need not call one: REVOKE EXECUTE ON FUNCTION ... FROM PUBLIC';
  END IF;
  BEGIN
    EXECUTE format('COMMENT ON ROLE %I IS %L', agent, 'killick: agents run as it');
    EXECUTE format('COMMENT ON ROLE %I IS %L', current_setting('killick.inspector'), 'killick: the gateway reads as it');
  EXCEPTION WHEN insufficient_privilege THEN
    NULL;
  END;
END
$killick$;

COMMIT;
