// node-postgres: plain queries, unnamed and named statements, pools, cursors and streams, COPY streams.

"use strict";
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const copy = require("pg-copy-streams");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, ZONES, own, raises, range, run, same, sleep, step,
	version } = require("./shared/steps.js");

const INSERT = "INSERT INTO note (tenant, run, amount, body) VALUES ($1, $2, $3, $4)";
const find = { name: "find", text: "SELECT tenant, id, name FROM item WHERE id = $1" };

const parameters = (tenant = OWN, more = {}) =>
	({ host: HOST, port: PORT, database: DATABASE, user: tenant.user, password: PASSWORD, ...more });

async function open(tenant, more) {
	const client = new Client(parameters(tenant, more));
	client.on("error", () => {});
	await client.connect();
	return client;
}

async function withClient(action, tenant = OWN, more = {}) {
	const client = await open(tenant, more);
	try {
		return await action(client);
	} finally {
		await client.end();
	}
}

async function withFour(action) {
	const clients = [];
	try {
		for (const tenant of FOUR)
			clients.push(await open(tenant));
		await action(clients);
	} finally {
		await Promise.all(clients.map((client) => client.end()));
	}
}

const value = async (client, text, values) => Object.values((await client.query(text, values)).rows[0])[0];

async function notes(client, body) {
	const { rows } = await client.query(
		"SELECT tenant, amount FROM note WHERE run = $1 AND body = $2 ORDER BY amount", [RUN, body]);
	return own(rows).map((row) => row.amount);
}

const three = async (client, tenant = OWN) =>
	same(own((await client.query("SELECT tenant FROM item WHERE id < 4")).rows, tenant).length, 3);

step("connect/login", () => withClient(async (client) => {
	same(own((await client.query("SELECT tenant FROM item")).rows).length, ITEMS);
	same(await value(client, "SHOW application_name"), "node script");
	same(await value(client, "SHOW client_encoding"), "UTF8");
}, OWN, { application_name: "node script" }));

step("connect/wrong-password", () => raises(open(OWN, { password: "wrong" }), "28P01"));
step("connect/unknown-database", () => raises(open(OWN, { database: "nowhere" }), "3D000"));

step("connect/startup-settings", () => withClient(async (client) => {
	for (const _ of range(1, 3)) {
		same(await value(client, "SHOW statement_timeout"), "12345ms");
		same(await value(client, "SHOW lock_timeout"), "2s");
		same(await value(client, "SHOW TimeZone"), "Asia/Tokyo");
	}
}, OWN, { statement_timeout: 12345, lock_timeout: 2000, options: "-c TimeZone=Asia/Tokyo" }));

step("transactions/commit", () => withClient(async (client) => {
	await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
	await client.query(INSERT, [OWN.name, RUN, 1, "commit"]);
	same(await value(client, "SHOW transaction_isolation"), "repeatable read");
	same((await client.query("COMMIT")).command, "COMMIT");
	same(await notes(client, "commit"), [1]);
}));

step("transactions/error", () => withClient(async (client) => {
	await client.query("BEGIN");
	await client.query(INSERT, [OWN.name, RUN, 2, "error"]);
	await raises(client.query(INSERT, [OWN.name, RUN, 2, "error"]), "23505");
	await raises(client.query("SELECT 1"), "25P02");
	same((await client.query("COMMIT")).command, "ROLLBACK");
	same(await notes(client, "error"), []);
	const error = await raises(client.query("SELECT tenant,\n nothing FROM item"), "42703");
	same(error.position, "17");
}));

step("savepoints/nested", () => withClient(async (client) => {
	await client.query("BEGIN");
	await client.query(INSERT, [OWN.name, RUN, 10, "nested"]);
	await client.query("SAVEPOINT a");
	await client.query(INSERT, [OWN.name, RUN, 11, "nested"]);
	await client.query("SAVEPOINT b");
	await raises(client.query("SELECT 1/0"), "22012");
	await client.query("ROLLBACK TO SAVEPOINT b");
	await client.query("ROLLBACK TO SAVEPOINT a");
	await client.query(INSERT, [OWN.name, RUN, 12, "nested"]);
	await client.query("RELEASE SAVEPOINT a");
	await client.query("COMMIT");
	same(await notes(client, "nested"), [10, 12]);
}));

step("prepared/types", () => withClient(async (client) => {
	for (const name of ["", "types", "types"]) {
		const text = "SELECT tenant, id, tags, doc, made FROM item WHERE id = ANY ($1::int[]) AND made > $2";
		const { rows } = await client.query({ name, text, values: [[7], new Date(0)] });
		same(own(rows)[0].tags, [OWN.name, "tag 0"]);
		same(rows[0].doc, { tenant: OWN.name, n: 7 });
		same(rows[0].made.toISOString(), "2026-01-01T07:00:00.000Z");
	}
	const { rows } = await client.query({ text: "SELECT tenant, id FROM item WHERE id = $1", values: [5], binary: true });
	same(own(rows)[0].id, 5);
}));

step("prepared/kept-while-idle", () => withFour(async (clients) => {
	for (const id of range(1, 4))
		for (const [number, client] of clients.entries()) {
			const named = { name: "same name", text: `SELECT tenant, id + ${number} AS id FROM item WHERE id = $1` };
			same(own((await client.query(named, [id])).rows, FOUR[number])[0].id, id + number);
			same(own((await client.query(find, [id])).rows, FOUR[number])[0].name, `${FOUR[number].name} ${id}`);
		}
}));

step("prepared/many", () => withClient(async (client) => {
	for (const _ of [1, 2])
		for (const n of range(1, 60)) {
			const named = { name: `many ${n}`, text: `SELECT tenant, ${n} AS n FROM item WHERE id = $1`, values: [n] };
			same(own((await client.query(named)).rows)[0].n, n);
		}
}));

step("prepared/after-error", () => withClient(async (client) => {
	const divide = { name: "divide", text: "SELECT 10 / $1::int AS n" };
	same((await client.query({ ...divide, values: [5] })).rows, [{ n: 2 }]);
	await raises(client.query({ ...divide, values: [0] }), "22012");
	await raises(client.query({ name: "wrong", text: "SELECT FROM WHERE $1", values: [1] }), "42601");
	same((await client.query({ ...divide, values: [2] })).rows, [{ n: 5 }]);
}));

step("batch/queued", () => withClient(async (client) => {
	const found = await Promise.all(range(1, 50).map((n) => client.query({ ...find, values: [n] })));
	found.forEach(({ rows }, n) => same(own(rows)[0].id, n + 1));
	const several = await client.query(`SELECT 1 AS n; SELECT tenant FROM item WHERE id = 1; /* nothing */ ;`);
	own(several[1].rows);
	same((await client.query("-- nothing")).rows, []);
}));

// One INSERT of many rows, and many at once in a transaction with an error in the middle.
step("batch/many-rows", () => withClient(async (client) => {
	const { rows } = await client.query("INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, n, $3 "
		+ "FROM unnest($4::int[]) n RETURNING tenant, amount", [OWN.name, RUN, "batch", range(100, 400)]);
	same(own(rows).length, 301);
	await client.query("BEGIN");
	const results = await Promise.allSettled([500, 501, 100, 502].map((n) => client.query(INSERT, [OWN.name, RUN, n, "x"])));
	same(results.map((one) => one.reason?.code), [undefined, undefined, "23505", "25P02"]);
	await client.query("ROLLBACK");
	same(await notes(client, "x"), []);
}));

// The mode in which the driver does not wait for one answer before it sends the next query.
step("batch/pipeline", () => withClient(async (client) => {
	const queries = range(1, 40).map((n) => client.query({ ...find, values: [n] }));
	queries.splice(20, 0, client.query("SELECT 1/0"), client.query("SELECT 10 / $1::int", [0]));
	const results = await Promise.allSettled(queries);
	same(results.filter((one) => one.reason?.code === "22012").length, 2);
	results.filter((one) => one.value).forEach(({ value: { rows } }, n) => same(own(rows)[0].id, n + 1));
}, OWN, { pipeline: true }));

step("cursor/portal", () => withClient(async (client) => {
	await client.query("BEGIN");
	const cursor = client.query(new Cursor("SELECT tenant, id FROM item WHERE id > $1 ORDER BY id", [10]));
	let found = [];
	for (let rows; (rows = await cursor.read(64)).length; )
		found = found.concat(own(rows));
	same(found.map((row) => row.id), range(11, ITEMS));
	await cursor.close();
	await client.query("COMMIT");
}));

// Outside a transaction the portal lives until Sync.
step("cursor/without-transaction", () => withClient(async (client) => {
	const cursor = client.query(new Cursor("SELECT tenant, id FROM item ORDER BY id"));
	same(own(await cursor.read(10)).map((row) => row.id), range(1, 10));
	await sleep(50);
	same(own(await cursor.read(10)).map((row) => row.id), range(11, 20));
	await cursor.close();
	await three(client);
}));

step("cursor/stream", () => withClient(async (client) => {
	const found = [];
	for await (const row of client.query(new QueryStream("SELECT tenant, id FROM item ORDER BY id", [], { batchSize: 50 })))
		found.push(row);
	same(own(found).map((row) => row.id), range(1, ITEMS));
}));

step("copy/out", () => withClient(async (client) => {
	let text = "";
	for await (const piece of client.query(copy.to("COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT")))
		text += piece;
	const rows = text.trimEnd().split("\n").map((line) => line.split("\t"));
	own(rows.map(([tenant]) => ({ tenant })));
	same(rows.map(([, id]) => Number(id)), range(1, ITEMS));
}));

step("copy/in", () => withClient(async (client) => {
	await client.query("BEGIN");
	await client.query("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP");
	const lines = range(1, 3000).map((n) => `${n}\tcopy\n`);
	await pipeline(Readable.from(lines), client.query(copy.from("COPY incoming FROM STDIN")));
	await client.query("INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, amount + 1000, body FROM incoming",
		[OWN.name, RUN]);
	same(await notes(client, "copy"), range(1001, 4000));
	await client.query("ROLLBACK");
}));

step("copy/in-error", () => withClient(async (client) => {
	await client.query("BEGIN");
	await client.query("CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP");
	await raises(pipeline(Readable.from(["1\n", "no number\n"]), client.query(copy.from("COPY incoming FROM STDIN"))),
		"22P02");
	await client.query("ROLLBACK");
	await three(client);
}));

step("cancel/other-socket", () => withClient(async (client) => {
	for (const _ of [1, 2]) {
		const sleeping = raises(client.query("SELECT pg_sleep(30)"), "57014");
		await sleep(400);
		const canceller = new Client(parameters());
		canceller.on("error", () => {});
		canceller.connection.on("connect", () => canceller.connection.cancel(client.processID, client.secretKey));
		canceller.connection.connect(PORT, HOST);
		await sleeping;
		canceller.connection.stream.destroy();
		await three(client);
	}
}));

step("cancel/timeout", () => withClient(async (client) => {
	await raises(client.query("SELECT pg_sleep(30)"), "57014");
	await three(client);
}, OWN, { statement_timeout: 150 }));

step("settings/kept-while-idle", () => withFour(async (clients) => {
	for (const [number, client] of clients.entries()) {
		await client.query(`SET TIME ZONE '${ZONES[number]}'`);
		await client.query("SELECT set_config('app.zone', $1, false)", [ZONES[number]]);
	}
	for (const _ of range(1, 3))
		for (const [number, client] of clients.entries()) {
			same(await value(client, "SHOW TimeZone"), ZONES[number]);
			same(await value(client, "SELECT current_setting('app.zone')"), ZONES[number]);
			await three(client, FOUR[number]);
		}
}));

step("settings/transaction", () => withClient(async (client) => {
	await client.query("SET work_mem = '1MB'");
	await client.query("BEGIN; SET LOCAL work_mem = '2MB'");
	same(await value(client, "SHOW work_mem"), "2MB");
	await client.query("COMMIT");
	same(await value(client, "SHOW work_mem"), "1MB");
	await client.query("BEGIN; SET work_mem = '3MB'; ROLLBACK");
	same(await value(client, "SHOW work_mem"), "1MB");
}));

step("session/temporary-table", async () => {
	for (const tenant of [OWN, OTHER])
		await withClient(async (client) => {
			await client.query("CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6");
			await sleep(20);
			same(own((await client.query("SELECT * FROM mine")).rows, tenant).length, 5);
			await client.query("DROP TABLE mine");
		}, tenant);
});

step("reset/discard-all", () => withClient(async (client) => {
	await client.query("SET work_mem = '1MB'");
	await client.query({ ...find, values: [1] });
	await client.query("DISCARD ALL");
	same(await value(client, "SHOW work_mem"), "4MB");
	await raises(client.query({ ...find, values: [1] }), "26000");
	await three(client);
}));

step("reset/deallocate", () => withClient(async (client) => {
	await client.query({ ...find, values: [1] });
	await client.query("DEALLOCATE find");
	await raises(client.query({ ...find, values: [1] }), "26000");
	await client.query("RESET ALL");
	await three(client);
}));

step("reconnect/pool", async () => {
	const pools = [OWN, OTHER].map((tenant) => new Pool(parameters(tenant, { max: 4 })));
	await Promise.all(range(1, 60).map(async (n) => {
		const { rows } = await pools[n % 2].query({ ...find, values: [n] });
		same(own(rows, [OWN, OTHER][n % 2])[0].id, n);
	}));
	await Promise.all(pools.map((pool) => pool.end()));
});

step("reconnect/ended-by-server", async () => {
	const client = new Client(parameters());
	const ended = new Promise((done) => client.on("error", done));
	await client.connect();
	await client.query("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 100");
	const error = await ended;
	same(error.code, "25P03");
	await withClient(three);
});

step("reconnect/many", async () => {
	for (const n of range(1, 12))
		await withClient((client) => three(client, FOUR[n % 4]), FOUR[n % 4]);
});

run(version("pg"));
