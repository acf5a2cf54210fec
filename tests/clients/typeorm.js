// typeorm over pg: entities, query builder, query runners with nested transactions, streams, catalog queries.

"use strict";
require("reflect-metadata");
const { DataSource, EntitySchema, In, LessThan } = require("typeorm");
const { DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, range, run, same, sleep, step, version } =
	require("./shared/steps.js");

const Item = new EntitySchema({ name: "item", columns: {
	id: { type: Number, primary: true }, tenant: { type: "text" }, name: { type: "text" }, price: { type: "numeric" },
	made: { type: "timestamptz" }, tags: { type: "text", array: true }, doc: { type: "jsonb" } } });
const Note = new EntitySchema({ name: "note", columns: {
	id: { type: "bigint", primary: true, generated: "increment" }, tenant: { type: "text" }, run: { type: "text" },
	amount: { type: "int" }, body: { type: "text", nullable: true } } });

async function using(action, tenant = OWN, more = {}) {
	const source = new DataSource({
		type: "postgres", host: HOST, port: PORT, database: DATABASE, username: tenant.user, password: PASSWORD,
		entities: [Item, Note], installExtensions: false, poolSize: 4, ...more });
	await source.initialize();
	try {
		return await action(source);
	} finally {
		await source.destroy();
	}
}

const value = (amount, body) => ({ tenant: OWN.name, run: RUN, amount, body });
const notes = async ({ manager }, body) =>
	own(await manager.find(Note, { where: { run: RUN, body }, order: { amount: "ASC" } })).map((row) => row.amount);
const three = async ({ manager }, tenant = OWN) =>
	same(own(await manager.find(Item, { where: { id: LessThan(4) } }), tenant).length, 3);
const show = async (manager, name) => (await manager.query("SELECT current_setting($1) AS value", [name]))[0].value;

step("connect/initialize", () => using(async (source) => {
	same(own(await source.manager.find(Item)).length, ITEMS);
	same(await show(source.manager, "application_name"), "typeorm script");
}, OWN, { applicationName: "typeorm script" }));

step("connect/wrong-password", () => raises(using(() => {}, OWN, { password: "wrong" }), "28P01"));

step("connect/catalogs", () => using(async (source) => {
	const runner = source.createQueryRunner();
	same((await runner.getTable("note")).columns.map((column) => column.name),
		["tenant_id", "id", "tenant", "run", "amount", "body"]);
	await runner.release();
}));

step("transactions/commit", () => using(async (source) => {
	await source.transaction("REPEATABLE READ", async (manager) => {
		await manager.insert(Note, value(1, "commit"));
		same(await show(manager, "transaction_isolation"), "repeatable read");
	});
	same(await notes(source, "commit"), [1]);
}));

step("transactions/rollback", () => using(async (source) => {
	await raises(source.transaction(async (manager) => {
		await manager.insert(Note, value(2, "rollback"));
		await manager.insert(Note, value(2, "rollback"));
	}), "23505");
	same(await notes(source, "rollback"), []);
}));

step("savepoints/nested", () => using(async (source) => {
	await source.transaction(async (manager) => {
		await manager.insert(Note, value(10, "nested"));
		await raises(manager.transaction((inner) => inner.insert(Note, value(10, "nested"))), "23505");
		await manager.transaction((inner) => inner.insert(Note, value(11, "nested")));
	});
	same(await notes(source, "nested"), [10, 11]);
}));

step("prepared/parameters", () => using(async (source) => {
	const found = await Promise.all(range(1, 40).map((id) => source.manager.findOneBy(Item, { id })));
	own(found).forEach((row, n) => same([row.id, row.tags[0], row.doc.n], [n + 1, OWN.name, n + 1]));
	same(own(await source.manager.findBy(Item, { id: In([3, 5]) })).length, 2);
}));

step("batch/save", () => using(async (source) => {
	const saved = await source.manager.save(Note, range(100, 300).map((n) => value(n, "batch")), { chunk: 50 });
	same(saved.every((row) => row.id > 0), true);
	same(await notes(source, "batch"), range(100, 300));
	const gone = await source.manager.delete(Note, { run: RUN, body: "batch" });
	same(gone.affected, 201);
}));

step("cursor/stream", () => using(async (source) => {
	const stream = await source.getRepository(Item).createQueryBuilder("i").orderBy("i.id").stream();
	const found = [];
	for await (const row of stream)
		found.push({ tenant: row.i_tenant, id: row.i_id });
	same(own(found).map((row) => row.id), range(1, ITEMS));
}));

step("cancel/timeout", () => using(async (source) => {
	await raises(source.query("SELECT pg_sleep(30)"), "57014");
	await three(source);
}, OWN, { extra: { statement_timeout: 150 } }));

step("settings/query-runner", () => using(async (source) => {
	const runner = source.createQueryRunner();
	await runner.query("SET work_mem = '1MB'");
	for (const _ of range(1, 3)) {
		await three(source);
		same((await runner.query("SHOW work_mem"))[0].work_mem, "1MB");
	}
	await runner.query("RESET work_mem");
	await runner.release();
}));

step("reconnect/pool", () => using((a) => using(async (b) => {
	await Promise.all(range(1, 60).map((n) => three([a, b][n % 2], [OWN, OTHER][n % 2])));
}, OTHER)));

step("reconnect/ended-by-server", () => using(async (source) => {
	await raises(source.transaction(async (manager) => {
		await manager.query("SET LOCAL idle_in_transaction_session_timeout = 100");
		await sleep(500);
		await manager.query("SELECT 1");
	}), "");
	await three(source);
}));

run(version("typeorm"));
