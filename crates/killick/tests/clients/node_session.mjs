// node-postgres: queries, cursors, streams, notifications, a pool. Prints the same with and without a gateway.
import { createHash } from 'node:crypto';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRequire } from 'node:module';

const require = createRequire(process.env.KILLICK_NODE_MODULES + '/');
const pg = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');

const url = process.env.DATABASE_URL;
const print = (...all) => console.log(...all.map((it) => (typeof it === 'string' ? it : JSON.stringify(it))));
const fails = async (run) => {
  try {
    await run();
    print('no error');
  } catch (error) {
    print(error.code, error.severity, error.message, error.detail ?? '', error.constraint ?? '', error.position ?? '');
  }
};
const connect = async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
};

async function types(client) {
  await client.query(`CREATE TABLE n_kinds (id bigint PRIMARY KEY, name text, price numeric, good boolean, at timestamptz, tag uuid,
    raw bytea, numbers int[], words text[], doc jsonb, real8 float8)`);
  const insert = 'INSERT INTO n_kinds VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)';
  await client.query(insert, [1, "ünï'\\", '12.50', true, new Date(1714566600123), '11111111-2222-3333-4444-555555555555',
    Buffer.from([0, 255, 92]), [1, null, 3], ['a', 'b"c,{}'], { k: [1, null] }, 1.5]);
  await client.query(insert, [2, ...Array(10).fill(null)]);
  print((await client.query('SELECT * FROM n_kinds ORDER BY id')).rows);
  print((await client.query({ text: 'SELECT * FROM n_kinds WHERE id = $1', values: [1], rowMode: 'array' })).rows);
  print((await client.query({ text: 'SELECT id, good, numbers FROM n_kinds WHERE id = $1', values: [1], binary: true })).rows);
  const many = await client.query("SELECT 1 AS a; INSERT INTO n_kinds (id) VALUES (3); SELECT 'x' AS b, 'y' AS b");
  print(many.map((it) => [it.command, it.rowCount, it.rows]));
  print((await client.query('DELETE FROM n_kinds WHERE id = 3')).rowCount);
}

async function prepared(client) {
  for (let n = 0; n < 5; n += 1) {
    print((await client.query({ name: 'twice', text: 'SELECT $1::int * 2 AS n', values: [n] })).rows);
  }
  await client.query({ name: 'change', text: 'UPDATE n_kinds SET name = $1 WHERE id = $2', values: ['a', 1] });
  print((await client.query({ name: 'change', text: 'UPDATE n_kinds SET name = $1 WHERE id = $2', values: ['b', 1] })).rowCount);
  await fails(() => client.query({ name: 'bad', text: 'SELECT nope', values: [] }));
  print((await client.query({ name: 'bad', text: 'SELECT 1 AS fine', values: [] })).rows);
  // Sent without waiting for each other.
  const all = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query('SELECT $1::int + 1 AS n', [n])));
  print(all.reduce((sum, it) => sum + it.rows[0].n, 0));
}

async function transactions(client) {
  await client.query('BEGIN');
  await client.query('INSERT INTO n_kinds (id) VALUES ($1)', [10]);
  await client.query('SAVEPOINT here');
  await fails(() => client.query('INSERT INTO n_kinds (id) VALUES ($1)', [10]));
  await fails(() => client.query('SELECT 1'));
  await client.query('ROLLBACK TO SAVEPOINT here');
  await client.query('RELEASE here');
  await client.query('COMMIT');
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  print((await client.query('SHOW transaction_isolation')).rows, (await client.query('DELETE FROM n_kinds WHERE id = 10')).rowCount);
  await client.query('ROLLBACK');
  print((await client.query('SELECT count(*) FROM n_kinds')).rows);
}

async function cursors(client) {
  const read = client.query(new Cursor('SELECT g FROM generate_series(1, $1::int) g', [25]));
  const sizes = [];
  for (let rows = await read.read(10); rows.length > 0; rows = await read.read(10)) sizes.push(rows.length);
  await read.close();
  print(sizes);
  const early = client.query(new Cursor('SELECT g FROM generate_series(1, 1000) g'));
  print((await early.read(3)).length);
  await early.close();
  let sum = 0;
  for await (const row of client.query(new QueryStream('SELECT g FROM generate_series(1, 5000) g', [], { batchSize: 100 }))) sum += row.g;
  print(sum);
  await client.query('BEGIN');
  const change = client.query(new Cursor('UPDATE n_kinds SET name = $1 WHERE id IN (1, 2) RETURNING id', ['cursor']));
  print((await change.read(1)).length);
  await change.close();
  await client.query('COMMIT');
  print((await client.query("SELECT count(*) FROM n_kinds WHERE name = 'cursor'")).rows);
}

async function copies(client) {
  await client.query('CREATE TABLE n_heap (id int, body text)');
  const lines = Array.from({ length: 20000 }, (_, n) => `${n}\tline ${n}\n`);
  await pipeline(Readable.from(lines), client.query(copyFrom('COPY n_heap FROM STDIN')));
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({ transform(chunk, _, done) { hash.update(chunk); bytes += chunk.length; done(); } });
  await pipeline(client.query(copyTo('COPY (SELECT * FROM n_heap ORDER BY id) TO STDOUT')), counted.resume());
  print(bytes, hash.digest('hex'));
  await fails(() => pipeline(Readable.from(['1\tx\n', 'what\ty\n']), client.query(copyFrom('COPY n_heap FROM STDIN'))));
  print((await client.query('SELECT count(*) FROM n_heap')).rows);
  await client.query('DROP TABLE n_heap');
}

async function notifications(client) {
  const other = await connect();
  const heard = [];
  client.on('notification', (note) => heard.push([note.channel, note.payload]));
  client.on('notice', (notice) => heard.push([notice.severity, notice.message]));
  await client.query('LISTEN n_news');
  await other.query("NOTIFY n_news, 'hello'");
  await other.query('SELECT pg_notify($1, $2)', ['n_news', 'twice']);
  for (let n = 0; n < 100 && heard.length < 2; n += 1) await sleep(50);
  await client.query('CREATE TABLE IF NOT EXISTS n_kinds (id int)');
  print(heard);
  await other.end();
}

async function cancelling(client) {
  const other = new pg.Client({ connectionString: url });
  const slow = new pg.Query('SELECT pg_sleep(60)');
  const ended = new Promise((done) => slow.on('error', (error) => done([error.code, error.message])));
  client.query(slow);
  await sleep(500);
  other.cancel(client, slow);
  print(await ended, (await client.query("SELECT 'usable' AS it")).rows);
}

async function errors(client) {
  for (const text of ['SELEC 1', 'SELECT nope', 'SELECT * FROM nowhere', 'SELECT 1/0', 'INSERT INTO n_kinds (id) VALUES (1)']) {
    await fails(() => client.query(text));
    await fails(() => client.query({ text, values: [], queryMode: 'extended' }));
  }
  print((await client.query('')).rows, (await client.query('-- nothing')).rows);
}

async function pools() {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  const all = await Promise.all(Array.from({ length: 40 }, (_, n) => pool.query('SELECT $1::int AS n', [n])));
  print(all.reduce((sum, it) => sum + it.rows[0].n, 0));
  await pool.end();
}

async function large(client) {
  const hash = createHash('sha256');
  let rows = 0;
  const text = 'SELECT repeat(md5(g::text), 32) AS body FROM generate_series(1, 200000) g';
  for await (const row of client.query(new QueryStream(text, [], { batchSize: 2000 }))) {
    hash.update(row.body);
    rows += 1;
  }
  print(rows, hash.digest('hex'));
}

async function refused() {
  const client = await connect();
  for (const text of ['DROP TABLE kept', 'TRUNCATE kept', 'DELETE FROM kept']) {
    for (const query of [text, { text, queryMode: 'extended' }]) {
      try {
        await client.query(query);
        print('PASSED', text);
      } catch (error) {
        print(text, error.code, Boolean(error.detail), Boolean(error.hint));
      }
      print((await client.query('SELECT count(*) FROM kept')).rows);
    }
  }
  // All rows go at the first Execute, whatever the row limit: COMMIT counts them.
  const cursor = client.query(new Cursor('DELETE FROM kept RETURNING id'));
  try {
    print((await cursor.read(1)).length);
    await cursor.close();
  } catch (error) {
    print(error.code);
  }
  print((await client.query('SELECT count(*) FROM kept')).rows);
  await client.end();
}

if (process.argv[2] === 'refused') {
  await refused();
} else {
  const client = await connect();
  for (const part of [types, prepared, transactions, cursors, copies, notifications, cancelling, errors, large]) {
    print(`== ${part.name}`);
    await part(client);
  }
  await client.query('DROP TABLE n_kinds');
  await client.end();
  await pools();
}
