// kysely over pg: unnamed statements, transactions, streams through pg-cursor, introspection.

"use strict";
const { Kysely, PostgresDialect, sql } = require("kysely");
const { Pool } = require("pg");
const Cursor = require("pg-cursor");
const { DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, range, run, same, sleep, step, version } =
	require("./shared/steps.js");

async function using(action, tenant = OWN, more = {}) {
	const pool = new Pool({ host: HOST, port: PORT, database: DATABASE, user: tenant.user, password: PASSWORD, max: 4, ...more });
	pool.on("error", () => {});
	pool.on("connect", (client) => client.on("error", () => {})); // also while one is lent
	const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });
	try {
		return await action(db);
	} finally {
		await db.destroy();
	}
}

const value = (amount, body) => ({ tenant: OWN.name, run: RUN, amount, body });
const notes = async (db, body) => own(await db.selectFrom("note").select(["tenant", "amount"])
	.where("run", "=", RUN).where("body", "=", body).orderBy("amount").execute()).map((row) => row.amount);
const three = async (db, tenant = OWN) =>
	same(own(await db.selectFrom("item").select("tenant").where("id", "<", 4).execute(), tenant).length, 3);
const show = async (db, name) => (await sql`SELECT current_setting(${name}) AS value`.execute(db)).rows[0].value;

step("connect/login", () => using(async (db) => {
	same(own(await db.selectFrom("item").select("tenant").execute()).length, ITEMS);
	const tables = await db.introspection.getTables();
	same(tables.find((table) => table.name === "note").columns.length, 6);
}));

step("connect/wrong-password", () => using((db) => raises(three(db), "28P01"), OWN, { password: "wrong" }));

step("transactions/commit", () => using(async (db) => {
	await db.transaction().setIsolationLevel("repeatable read").execute(async (trx) => {
		await trx.insertInto("note").values(value(1, "commit")).execute();
		same(await show(trx, "transaction_isolation"), "repeatable read");
	});
	same(await notes(db, "commit"), [1]);
}));

step("transactions/rollback", () => using(async (db) => {
	await raises(db.transaction().execute(async (trx) => {
		await trx.insertInto("note").values(value(2, "rollback")).execute();
		await trx.insertInto("note").values(value(2, "rollback")).execute();
	}), "23505");
	same(await notes(db, "rollback"), []);
}));

step("savepoints/nested", () => using(async (db) => {
	await db.transaction().execute(async (trx) => {
		await trx.insertInto("note").values(value(10, "nested")).execute();
		await sql`SAVEPOINT a`.execute(trx);
		await raises(trx.insertInto("note").values(value(10, "nested")).execute(), "23505");
		await sql`ROLLBACK TO a`.execute(trx);
		await trx.insertInto("note").values(value(11, "nested")).execute();
		await sql`RELEASE a`.execute(trx);
	});
	same(await notes(db, "nested"), [10, 11]);
}));

step("prepared/parameters", () => using(async (db) => {
	const found = await Promise.all(range(1, 40).map((id) =>
		db.selectFrom("item").select(["tenant", "id", "tags"]).where("id", "=", id).executeTakeFirstOrThrow()));
	own(found).forEach((row, n) => same([row.id, row.tags[0]], [n + 1, OWN.name]));
	await raises(sql`SELECT 10 / ${0}::int`.execute(db), "22012");
}));

step("batch/values", () => using(async (db) => {
	const rows = await db.insertInto("note").values(range(100, 400).map((n) => value(n, "batch")))
		.returning(["tenant", "amount"]).execute();
	same(own(rows).length, 301);
	const gone = await db.deleteFrom("note").where("run", "=", RUN).where("body", "=", "batch").executeTakeFirst();
	same(Number(gone.numDeletedRows), 301);
}));

step("cursor/stream", () => using(async (db) => {
	const found = [];
	for await (const row of db.selectFrom("item").select(["tenant", "id"]).orderBy("id").stream(64))
		found.push(row);
	same(own(found).map((row) => row.id), range(1, ITEMS));
	for await (const row of db.selectFrom("item").select(["tenant", "id"]).orderBy("id").stream(10)) {
		own([row]);
		break;
	}
	await three(db);
}));

step("cancel/timeout", () => using(async (db) => {
	await raises(sql`SELECT pg_sleep(30)`.execute(db), "57014");
	await three(db);
}, OWN, { statement_timeout: 150 }));

step("settings/transaction", () => using(async (db) => {
	await Promise.all(range(1, 10).map((n) => db.transaction().execute(async (trx) => {
		await sql`SELECT set_config('app.word', ${`word ${n}`}, true)`.execute(trx);
		same(await show(trx, "app.word"), `word ${n}`);
		await three(trx);
	})));
}));

step("settings/connection", () => using((db) => db.connection().execute(async (one) => {
	await sql`SET TIME ZONE 'Asia/Tokyo'`.execute(one);
	for (const _ of range(1, 3)) {
		same(await show(one, "TimeZone"), "Asia/Tokyo");
		await three(db);
	}
})));

step("reconnect/pool", () => using((a) => using(async (b) => {
	await Promise.all(range(1, 60).map((n) => three([a, b][n % 2], [OWN, OTHER][n % 2])));
}, OTHER)));

step("reconnect/ended-by-server", () => using(async (db) => {
	await raises(db.transaction().execute(async (trx) => {
		await sql`SET LOCAL idle_in_transaction_session_timeout = 100`.execute(trx);
		await sleep(500);
		await sql`SELECT 1`.execute(trx);
	}), "");
	await three(db);
}));

run(version("kysely"));
