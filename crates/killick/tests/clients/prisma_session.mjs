// Prisma's client (without its engine, which no registry has) over its own adapter. Prints the same with and without a gateway.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';

const modules = process.env.KILLICK_NODE_MODULES;
const require = createRequire(modules + '/');
const pg = require('pg');
const { PrismaPg } = require('@prisma/adapter-pg');

const url = process.env.DATABASE_URL;
const print = (...all) => console.log(...all.map((it) => (typeof it === 'string' ? it : JSON.stringify(it, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)))));

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
  output   = "./generated"
}
datasource db {
  provider = "postgresql"
}
model PrUser {
  id    Int      @id @default(autoincrement())
  email String   @unique
  big   BigInt?
  price Decimal?
  doc   Json?
  raw   Bytes?
  tags  String[]
  at    DateTime?
  posts PrPost[]
}
model PrPost {
  id       Int    @id @default(autoincrement())
  title    String
  authorId Int
  author   PrUser @relation(fields: [authorId], references: [id], onDelete: Cascade)
}`;
const TABLES = [
  `CREATE TABLE "PrUser" (id serial PRIMARY KEY, email text NOT NULL UNIQUE, big bigint, price numeric(65, 30), doc jsonb, raw bytea,
    tags text[], at timestamp(3))`,
  'CREATE TABLE "PrPost" (id serial PRIMARY KEY, title text NOT NULL, "authorId" int NOT NULL REFERENCES "PrUser" ON DELETE CASCADE)',
];

const root = mkdtempSync(path.join(tmpdir(), 'killick-prisma-'));
const pool = new pg.Pool({ connectionString: url, max: 2 });
try {
  symlinkSync(modules, path.join(root, 'node_modules'));
  writeFileSync(path.join(root, 'package.json'), '{}');
  writeFileSync(path.join(root, 'schema.prisma'), SCHEMA);
  // Making the client needs no engine; that its command looks for one is satisfied by naming any program.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' };
  execFileSync(path.join(modules, '.bin', 'prisma'), ['generate', '--schema', 'schema.prisma'], { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const { PrismaClient, Prisma } = require(path.join(root, 'generated'));
  for (const text of TABLES) await pool.query(text);
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 3 }) });
  const made = await prisma.prUser.create({
    data: { email: 'a@x', big: 2n ** 60n, price: '12.5', doc: { k: [1, null] }, raw: new Uint8Array([0, 255]), tags: ['a', 'b"'],
      at: new Date(1714566600123), posts: { create: [{ title: 'one' }, { title: 'two' }] } },
    include: { posts: true },
  });
  print(made);
  print((await prisma.prUser.createMany({ data: Array.from({ length: 20 }, (_, n) => ({ email: `u${n}@x` })) })).count);
  print(await prisma.prUser.findMany({ where: { email: { startsWith: 'u1' } }, orderBy: { id: 'asc' }, select: { email: true, tags: true }, take: 3 }));
  print(await prisma.prUser.upsert({ where: { email: 'u3@x' }, update: { tags: { push: 'more' } }, create: { email: 'u3@x' } }));
  print(await prisma.prPost.groupBy({ by: ['authorId'], _count: true }), await prisma.prUser.aggregate({ _max: { id: true } }));
  const [first, second] = await prisma.$transaction([prisma.prUser.count(), prisma.prPost.findFirst({ where: { author: { email: 'a@x' } } })]);
  print(first, second);
  await prisma.$transaction(async (tx) => {
    await tx.prPost.create({ data: { title: 'gone', authorId: 1 } });
    throw new Error('back');
  }, { isolationLevel: 'Serializable' }).catch((error) => print(error.message));
  try {
    await prisma.prUser.create({ data: { email: 'a@x' } });
  } catch (error) {
    print(error.code, error instanceof Prisma.PrismaClientKnownRequestError);
  }
  print(await prisma.$queryRaw`SELECT count(*) AS n FROM "PrPost" WHERE "authorId" = ${1}`);
  print(await prisma.$executeRaw`UPDATE "PrPost" SET title = ${'raw'} WHERE id = ${1}`);
  print((await prisma.prUser.deleteMany({ where: { email: { in: ['u1@x', 'u2@x'] } } })).count);
  print((await prisma.prUser.delete({ where: { email: 'a@x' } })).email, await prisma.prPost.count());
  print(...(await Promise.all(Array.from({ length: 10 }, (_, n) => prisma.prUser.findUnique({ where: { email: `u${n}@x` } })))).map((it) => it?.id ?? null));
  await prisma.$disconnect();
  await pool.query('DROP TABLE "PrPost", "PrUser"');
} finally {
  await pool.end();
  rmSync(root, { recursive: true });
}
