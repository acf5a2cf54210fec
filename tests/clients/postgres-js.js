// postgres.js: a pool in each instance, named statements of random names, pipelines of up to a hundred queries.

"use strict";
const postgres = require("postgres");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, ZONES, own, raises, range, run, same, sleep, step,
	version } = require("./shared/steps.js");

const open = (tenant = OWN, more = {}) => postgres({
	host: HOST, port: PORT, database: DATABASE, user: tenant.user, password: PASSWORD, max: 1, onnotice: () => {}, ...more });

async function using(action, tenant = OWN, more = {}) {
	const sql = open(tenant, more);
	try {
		return await action(sql);
	} finally {
		await sql.end({ timeout: 5 });
	}
}

async function withFour(action) {
	const all = FOUR.map((tenant) => open(tenant));
	try {
		await action(all);
	} finally {
		await Promise.all(all.map((sql) => sql.end({ timeout: 5 })));
	}
}

const insert = (sql, amount, body) => sql`INSERT INTO note ${sql({ tenant: OWN.name, run: RUN, amount, body })}`;

const notes = async (sql, body) => own(
	await sql`SELECT tenant, amount FROM note WHERE run = ${RUN} AND body = ${body} ORDER BY amount`).map((row) => row.amount);

const three = async (sql, tenant = OWN) => same(own(await sql`SELECT tenant FROM item WHERE id < ${4}`, tenant).length, 3);
const show = async (sql, name) => (await sql`SELECT current_setting(${name}) AS value`)[0].value;

step("connect/login", () => using(async (sql) => {
	same(own(await sql`SELECT tenant FROM item`).length, ITEMS);
	same(await show(sql, "application_name"), "postgres.js");
	same(sql.parameters.application_name, "postgres.js");
}));

step("connect/wrong-password", () => using((sql) => raises(sql`SELECT 1`, "28P01"), OWN, { password: "wrong" }));
step("connect/unknown-database", () => using((sql) => raises(sql`SELECT 1`, "3D000"), OWN, { database: "nowhere" }));

step("connect/startup-settings", () => using(async (sql) => {
	for (const _ of range(1, 3)) {
		same(await show(sql, "statement_timeout"), "12345ms");
		same(await show(sql, "app.word"), "two words");
		same(await show(sql, "search_path"), "pg_catalog, public");
	}
}, OWN, { connection: { statement_timeout: 12345, "app.word": "two words", search_path: "pg_catalog, public" } }));

step("transactions/commit", () => using(async (sql) => {
	const level = await sql.begin("isolation level repeatable read", async (tx) => {
		await insert(tx, 1, "commit");
		return show(tx, "transaction_isolation");
	});
	same(level, "repeatable read");
	same(await notes(sql, "commit"), [1]);
}));

step("transactions/rollback", () => using(async (sql) => {
	await raises(sql.begin(async (tx) => {
		await insert(tx, 2, "rollback");
		throw new Error("changed my mind");
	}), "changed my mind");
	await raises(sql.begin(async (tx) => {
		await insert(tx, 2, "rollback");
		await insert(tx, 2, "rollback");
	}), "23505");
	same(await notes(sql, "rollback"), []);
}));

// All statements of the transaction are sent at once.
step("transactions/array", () => using(async (sql) => {
	const found = await sql.begin((tx) => [insert(tx, 3, "array"), tx`SELECT tenant, amount FROM note WHERE amount = ${3}
		AND run = ${RUN}`]);
	same(own(found[1]).length, 1);
}));

step("savepoints/nested", () => using(async (sql) => {
	await sql.begin(async (tx) => {
		await insert(tx, 10, "nested");
		await tx.savepoint(async (inner) => {
			await insert(inner, 11, "nested");
			throw new Error("not this");
		}).catch(() => {});
		await raises(tx.savepoint((inner) => inner`SELECT 1/0`), "22012");
		await tx.savepoint("named", (inner) => insert(inner, 12, "nested"));
	});
	same(await notes(sql, "nested"), [10, 12]);
}));

step("prepared/types", () => using(async (sql) => {
	const rows = own(await sql`SELECT tenant, price, made, tags, doc FROM item WHERE id = ANY (${[7]}::int[])`);
	same(rows[0].tags, [OWN.name, "tag 0"]);
	same(rows[0].doc, { tenant: OWN.name, n: 7 });
	same(rows[0].made.toISOString(), "2026-01-01T07:00:00.000Z");
	const columns = (await sql`SELECT tenant, id FROM item WHERE id = ${1}`.describe()).columns;
	same(columns.map((column) => column.name), ["tenant", "id"]);
}));

step("prepared/kept-while-idle", () => withFour(async (all) => {
	for (const id of range(1, 4))
		for (const [number, sql] of all.entries()) {
			const rows = await sql`SELECT tenant, id, name FROM item WHERE id = ${id}`;
			same(own(rows, FOUR[number])[0].name, `${FOUR[number].name} ${id}`);
			await three(sql, FOUR[number]);
		}
}));

step("prepared/many", () => using(async (sql) => {
	for (const _ of [1, 2])
		for (const n of range(1, 60))
			same(own(await sql.unsafe(`SELECT tenant, ${n} AS n FROM item WHERE id = $1`, [n], { prepare: true }))[0].n, n);
}));

step("prepared/off", () => using(async (sql) => {
	for (const n of range(1, 5))
		same(own(await sql`SELECT tenant, id FROM item WHERE id = ${n}`)[0].id, n);
	same(await notes(sql, "none"), []);
}, OWN, { prepare: false }));

step("prepared/after-error", () => using(async (sql) => {
	const divide = (n) => sql`SELECT 10 / ${n}::int AS n`;
	same((await divide(5))[0].n, 2);
	await raises(divide(0), "22012");
	await raises(sql`SELECT FROM WHERE ${1}`, "42601");
	same((await divide(2))[0].n, 5);
}));

step("batch/pipeline", () => using(async (sql) => {
	const found = await Promise.all(range(1, 150).map((n) => sql`SELECT tenant, id FROM item WHERE id = ${n}`));
	found.forEach((rows, n) => same(own(rows)[0].id, n + 1));
}));

// Errors between others that are in flight: each is answered by itself.
step("batch/pipeline-error", () => using(async (sql) => {
	const results = await Promise.allSettled(range(0, 30).map((n) => sql`SELECT 100 / (${n}::int % 10) AS n`));
	same(results.map((one) => one.reason?.code ?? ""), range(0, 30).map((n) => (n % 10 ? "" : "22012")));
	await three(sql);
}));

step("batch/many-rows", () => using(async (sql) => {
	const rows = range(100, 400).map((amount) => ({ tenant: OWN.name, run: RUN, amount, body: "batch" }));
	same(own(await sql`INSERT INTO note ${sql(rows)} RETURNING tenant, amount`).length, 301);
	same(await notes(sql, "batch"), range(100, 400));
}));

step("batch/simple", () => using(async (sql) => {
	const [one, two] = await sql`SELECT 1 AS n; SELECT tenant FROM item WHERE id = 1`.simple();
	same(one[0].n, 1);
	own(two);
	same((await sql.unsafe("/* nothing */")).length, 0);
}));

step("cursor/callback", () => using(async (sql) => {
	const found = [];
	await sql`SELECT tenant, id FROM item WHERE id > ${10} ORDER BY id`.cursor(64, (rows) => {
		found.push(...own(rows).map((row) => row.id));
	});
	same(found, range(11, ITEMS));
}));

step("cursor/iterate", () => using(async (sql) => {
	const found = [];
	for await (const rows of sql`SELECT tenant, id FROM item ORDER BY id`.cursor(30)) {
		found.push(...own(rows).map((row) => row.id));
		if (found.length >= 300)
			break;
	}
	same(found, range(1, 300));
	await three(sql);
}));

step("cursor/for-each", () => using(async (sql) => {
	let found = 0;
	await sql`SELECT tenant, id FROM item`.forEach((row) => { own([row]); found += 1; });
	same(found, ITEMS);
}));

step("copy/out", () => using(async (sql) => {
	let text = "";
	for await (const piece of await sql`COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT`.readable())
		text += piece;
	const rows = text.trimEnd().split("\n").map((line) => line.split("\t"));
	own(rows.map(([tenant]) => ({ tenant })));
	same(rows.length, ITEMS);
}));

step("copy/in", () => using((sql) => sql.begin(async (tx) => {
	await tx`CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP`;
	await pipeline(Readable.from(range(1, 2000).map((n) => `${n}\tcopy\n`)), await tx`COPY incoming FROM STDIN`.writable());
	await tx`INSERT INTO note (tenant, run, amount, body) SELECT ${OWN.name}, ${RUN}, 1000 + amount, body FROM incoming`;
	same(await notes(tx, "copy"), range(1001, 3000));
	await tx`DELETE FROM note WHERE run = ${RUN} AND body = 'copy'`;
})));

step("cancel/query", () => using(async (sql) => {
	for (const _ of [1, 2]) {
		const query = sql`SELECT pg_sleep(30)`;
		setTimeout(() => query.cancel(), 400);
		await raises(query, "57014");
		await three(sql);
	}
}));

step("cancel/timeout", () => using(async (sql) => {
	await raises(sql`SELECT pg_sleep(30)`, "57014");
	await three(sql);
}, OWN, { connection: { statement_timeout: 150 } }));

step("settings/kept-while-idle", () => withFour(async (all) => {
	for (const [number, sql] of all.entries())
		await sql.unsafe(`SET TIME ZONE '${ZONES[number]}'`);
	for (const _ of range(1, 3))
		for (const [number, sql] of all.entries()) {
			same(await show(sql, "TimeZone"), ZONES[number]);
			await three(sql, FOUR[number]);
		}
}));

step("settings/transaction", () => using(async (sql) => {
	await sql.begin(async (tx) => {
		await tx`SELECT set_config('work_mem', ${"1MB"}, true)`;
		same(await show(tx, "work_mem"), "1MB");
	});
	same(await show(sql, "work_mem"), "4MB");
}));

// A connection of the pool for oneself.
step("session/reserve", () => using(async (sql) => {
	const reserved = await sql.reserve();
	await reserved`CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6`;
	await sleep(20);
	same(own(await reserved`SELECT * FROM mine`).length, 5);
	await reserved`DROP TABLE mine`;
	reserved.release();
	await three(sql);
}, OWN, { max: 2 }));

step("reset/reset-all", () => using(async (sql) => {
	await sql`SET work_mem = '1MB'`;
	await sql`RESET ALL`;
	same(await show(sql, "work_mem"), "4MB");
	await three(sql);
}));

step("reconnect/pool", async () => {
	const all = [OWN, OTHER].map((tenant) => open(tenant, { max: 4 }));
	await Promise.all(range(1, 100).map(async (n) => {
		const tenant = [OWN, OTHER][n % 2];
		same(own(await all[n % 2]`SELECT tenant, id FROM item WHERE id = ${n}`, tenant)[0].id, n);
	}));
	await Promise.all(all.map((sql) => sql.end({ timeout: 5 })));
});

// Short-lived connections: each is given up after some time, and the next query takes a new one.
step("reconnect/lifetime", () => using(async (sql) => {
	for (const _ of range(1, 4)) {
		await three(sql);
		await sleep(1100);
	}
}, OWN, { idle_timeout: 1 }));

step("reconnect/ended-by-server", () => using(async (sql) => {
	await raises(sql.begin(async (tx) => {
		await tx`SET LOCAL idle_in_transaction_session_timeout = 100`;
		await sleep(500);
		await tx`SELECT 1`;
	}), "C");
	await three(sql);
}));

run(version("postgres"));
