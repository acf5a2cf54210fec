// knex over pg: a pool that validates, transactions and nested ones, batches, streams, its own search path.

"use strict";
const knex = require("knex");
const { DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, range, run, same, sleep, step, version } =
	require("./shared/steps.js");

async function using(action, tenant = OWN, more = {}) {
	const db = knex({
		client: "pg", pool: { min: 0, max: 4 }, ...more,
		connection: { host: HOST, port: PORT, database: DATABASE, user: tenant.user, password: PASSWORD, ...more.connection } });
	try {
		return await action(db);
	} finally {
		await db.destroy();
	}
}

const note = (amount, body) => ({ tenant: OWN.name, run: RUN, amount, body });
const notes = async (db, body) =>
	own(await db("note").select("tenant", "amount").where({ run: RUN, body }).orderBy("amount")).map((row) => row.amount);
const three = async (db, tenant = OWN) =>
	same(own(await db("item").select("tenant").where("id", "<", 4), tenant).length, 3);

step("connect/login", () => using(async (db) => {
	same(own(await db.select("tenant").from("item")).length, ITEMS);
	same(await db.schema.hasTable("note"), true);
	same(Object.keys(await db("note").columnInfo()).sort(), ["amount", "body", "id", "run", "tenant", "tenant_id"]);
}));

step("connect/search-path", () => using(async (db) => {
	for (const _ of range(1, 4))
		same((await db.raw("SHOW search_path")).rows[0].search_path, "public, pg_catalog");
	await Promise.all(range(1, 8).map(() => three(db)));
}, OWN, { searchPath: ["public", "pg_catalog"] }));

step("connect/after-create", () => using(async (db) => {
	await Promise.all(range(1, 12).map(async () =>
		same((await db.raw("SHOW TimeZone")).rows[0].TimeZone, "Asia/Tokyo")));
}, OWN, { pool: { min: 0, max: 4, afterCreate: (c, done) => c.query("SET TIME ZONE 'Asia/Tokyo'", (e) => done(e, c)) } }));

step("transactions/commit", () => using(async (db) => {
	await db.transaction(async (trx) => {
		await trx("note").insert(note(1, "commit"));
		same((await trx.raw("SHOW transaction_isolation")).rows[0].transaction_isolation, "repeatable read");
	}, { isolationLevel: "repeatable read" });
	same(await notes(db, "commit"), [1]);
}));

step("transactions/rollback", () => using(async (db) => {
	await raises(db.transaction((trx) => trx("note").insert([note(2, "rollback"), note(2, "rollback")])), "23505");
	const trx = await db.transaction();
	await trx("note").insert(note(3, "rollback"));
	await trx.rollback();
	same(await notes(db, "rollback"), []);
}));

step("savepoints/nested", () => using(async (db) => {
	await db.transaction(async (trx) => {
		await trx("note").insert(note(10, "nested"));
		await raises(trx.transaction((inner) => inner("note").insert(note(10, "nested"))), "23505");
		await trx.transaction((inner) => inner("note").insert(note(11, "nested")));
	});
	same(await notes(db, "nested"), [10, 11]);
}));

step("prepared/parameters", () => using(async (db) => {
	const found = await Promise.all(range(1, 40).map((id) => db("item").select("tenant", "id").where({ id }).first()));
	own(found).forEach((row, n) => same(row.id, n + 1));
	same(own(await db("item").select("tenant", "tags", "doc").whereIn("id", [7]))[0].tags, [OWN.name, "tag 0"]);
	await raises(db.raw("SELECT 10 / ?::int", [0]), "22012");
}));

step("batch/insert", () => using(async (db) => {
	const rows = await db.batchInsert("note", range(100, 400).map((n) => note(n, "batch")), 50).returning(["tenant", "amount"]);
	same(own(rows).length, 301);
	same(await db("note").where({ run: RUN, body: "batch" }).update({ body: "changed" }), 301);
	same(await db("note").where({ run: RUN, body: "changed" }).del(), 301);
	await db("note").insert(note(401, "upsert"));
	same(own(await db("note").insert({ ...note(401, "upsert"), id: 1e9 }).onConflict(["tenant_id", "run", "amount"]).merge(["body"])
		.returning("tenant")).length, 1);
}));

step("cursor/stream", () => using(async (db) => {
	const found = [];
	for await (const row of db("item").select("tenant", "id").orderBy("id").stream())
		found.push(row);
	same(own(found).map((row) => row.id), range(1, ITEMS));
}));

step("cancel/timeout", () => using(async (db) => {
	await raises(db.raw("SELECT pg_sleep(3)").timeout(300, { cancel: true }), "timeout");
	await three(db);
}));

step("settings/transaction", () => using(async (db) => {
	await db.transaction(async (trx) => {
		await trx.raw("SET LOCAL work_mem = '1MB'");
		same((await trx.raw("SHOW work_mem")).rows[0].work_mem, "1MB");
	});
	same((await db.raw("SHOW work_mem")).rows[0].work_mem, "4MB");
}));

step("reconnect/pool", async () => {
	await using((a) => using(async (b) => {
		await Promise.all(range(1, 60).map((n) => three([a, b][n % 2], [OWN, OTHER][n % 2])));
	}, OTHER));
});

step("reconnect/ended-by-server", () => using(async (db) => {
	await raises(db.transaction(async (trx) => {
		await trx.raw("SET LOCAL idle_in_transaction_session_timeout = 100");
		await sleep(500);
		await trx.raw("SELECT 1");
	}), "onnection");
	await three(db);
}));

run(version("knex"));
