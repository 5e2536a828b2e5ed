// Drizzle: drizzle-kit push of a schema and of its change, migrations, and queries. Prints the same with and without a gateway.
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';

const modules = process.env.KILLICK_NODE_MODULES;
const require = createRequire(modules + '/');
const pg = require('pg');
const { drizzle } = require('drizzle-orm/node-postgres');
const { migrate } = require('drizzle-orm/node-postgres/migrator');
const { eq, sql } = require('drizzle-orm');
const { pgTable, serial, text, integer, jsonb, timestamp, numeric } = require('drizzle-orm/pg-core');

const url = process.env.DATABASE_URL;
const print = (...all) => console.log(...all.map((it) => (typeof it === 'string' ? it : JSON.stringify(it))));

const SCHEMA = (more) => `
import { pgTable, serial, text, integer, jsonb, timestamp, numeric, index, pgEnum } from 'drizzle-orm/pg-core';
export const mood = pgEnum('dz_mood', ['sad', 'glad']);
export const users = pgTable('dz_users', { id: serial('id').primaryKey(), email: text('email').notNull().unique(), doc: jsonb('doc'),
  mood: mood('mood'), at: timestamp('at', { withTimezone: true }).defaultNow() });
export const posts = pgTable('dz_posts', { id: serial('id').primaryKey(), title: text('title').notNull(),
  author: integer('author').notNull().references(() => users.id, { onDelete: 'cascade' }), ${more} }, (it) => [index('dz_title').on(it.title)]);
`;
const users = pgTable('dz_users', { id: serial('id').primaryKey(), email: text('email').notNull(), doc: jsonb('doc'), mood: text('mood'),
  at: timestamp('at', { withTimezone: true }).defaultNow() });
const posts = pgTable('dz_posts', { id: serial('id').primaryKey(), title: text('title').notNull(), author: integer('author').notNull(),
  price: numeric('price') });

const root = mkdtempSync(path.join(tmpdir(), 'killick-drizzle-'));
const kit = (...args) => {
  const ran = spawnSync(path.join(modules, '.bin', 'drizzle-kit'), args, { cwd: root, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } });
  if (ran.status !== 0 || /error/i.test(ran.stderr)) print(args[0], ran.status, ran.stdout.slice(-2000), ran.stderr.slice(-2000));
  return ran;
};
const tables = async (pool) => {
  const found = await pool.query(`SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_name LIKE 'dz\\_%' ORDER BY 1, 2`);
  print(found.rows.map((it) => Object.values(it).join(' ')));
};

// Runs a statement again when a human has approved it. Without a gateway nothing is ever refused.
const approved = async (text) => {
  try {
    await pool.query(text);
  } catch (error) {
    if (error.code !== '42501' || !process.env.KILLICK_APPROVE) throw error;
    execFileSync(process.env.KILLICK_APPROVE);
    await pool.query(text);
  }
};
const pool = new pg.Pool({ connectionString: url, max: 3 });
try {
  symlinkSync(modules, path.join(root, 'node_modules'));
  const config = `export default { dialect: 'postgresql', schema: './schema.ts', out: './out', dbCredentials: { url: process.env.DATABASE_URL },
    tablesFilter: ['dz_*'] };`;
  writeFileSync(path.join(root, 'drizzle.config.ts'), config);
  writeFileSync(path.join(root, 'schema.ts'), SCHEMA(''));
  print(kit('push', '--force').status);
  await tables(pool);
  writeFileSync(path.join(root, 'schema.ts'), SCHEMA("price: numeric('price'), seen: integer('seen').default(0).notNull()"));
  print(kit('push', '--force').status);
  await tables(pool);

  const db = drizzle(pool);
  print((await db.insert(users).values(Array.from({ length: 10 }, (_, n) => ({ email: `u${n}@x`, doc: { n }, mood: 'glad' }))).returning({ id: users.id })).length);
  await db.transaction(async (tx) => {
    await tx.insert(posts).values([{ title: 'one', author: 1, price: '1.50' }, { title: 'two', author: 1 }]);
    await tx.transaction(async (inner) => {
      await inner.insert(posts).values({ title: 'gone', author: 2 });
      inner.rollback();
    }).catch((error) => print(error.constructor.name));
  });
  print(await db.select({ title: posts.title, email: users.email, doc: users.doc, price: posts.price }).from(posts)
    .innerJoin(users, eq(users.id, posts.author)).orderBy(posts.id));
  const byMail = db.select().from(users).where(eq(users.email, sql.placeholder('mail'))).prepare('by_mail');
  print((await byMail.execute({ mail: 'u3@x' })).map((it) => [it.id, it.doc, it.mood]));
  print((await db.update(posts).set({ title: 'changed' }).where(eq(posts.id, 1)).returning()).map((it) => it.title));
  print((await db.delete(users).where(eq(users.id, 1)).returning()).length, (await pool.query('SELECT count(*) FROM dz_posts')).rows);

  await pool.query('DROP TABLE dz_posts, dz_users');
  await approved('DROP TYPE dz_mood');
  print(kit('generate', '--name', 'first').status);
  await migrate(db, { migrationsFolder: path.join(root, 'out'), migrationsSchema: 'public', migrationsTable: 'dz_migrations' });
  await migrate(db, { migrationsFolder: path.join(root, 'out'), migrationsSchema: 'public', migrationsTable: 'dz_migrations' });
  await tables(pool);
  await pool.query('DROP TABLE dz_posts, dz_users, dz_migrations');
  await approved('DROP TYPE dz_mood');
} finally {
  await pool.end();
  rmSync(root, { recursive: true });
}
