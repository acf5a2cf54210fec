// drizzle over pg and over postgres: typed queries, prepared ones by name, transactions with savepoints, RLS-like settings.

"use strict";
const { Pool } = require("pg");
const postgres = require("postgres");
const { and, eq, lt, sql } = require("drizzle-orm");
const core = require("drizzle-orm/pg-core");
const { drizzle: overPg } = require("drizzle-orm/node-postgres");
const { drizzle: overPostgres } = require("drizzle-orm/postgres-js");
const { DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, range, run, same, sleep, step, version } =
	require("./shared/steps.js");

const item = core.pgTable("item", {
	id: core.integer("id"), tenant: core.text("tenant"), name: core.text("name"), made: core.timestamp("made", { withTimezone: true }),
	tags: core.text("tags").array(), doc: core.jsonb("doc") });
const note = core.pgTable("note", {
	id: core.bigserial("id", { mode: "number" }), tenant: core.text("tenant"), run: core.text("run"),
	amount: core.integer("amount"), body: core.text("body") });

const parameters = (tenant) => ({ host: HOST, port: PORT, database: DATABASE, user: tenant.user, password: PASSWORD, max: 3 });

const DRIVERS = {
	pg(tenant) {
		const pool = new Pool(parameters(tenant));
		pool.on("error", () => {});
		pool.on("connect", (client) => client.on("error", () => {})); // also while one is lent
		return { db: overPg(pool), end: () => pool.end() };
	},
	postgres(tenant) {
		const client = postgres({ ...parameters(tenant), onnotice: () => {} });
		return { db: overPostgres(client), end: () => client.end({ timeout: 5 }) };
	},
};

async function using(driver, action, tenant = OWN) {
	const { db, end } = DRIVERS[driver](tenant);
	try {
		return await action(db);
	} finally {
		await end();
	}
}

const value = (amount, body) => ({ tenant: OWN.name, run: RUN, amount, body });
const rowsOf = (found) => found.rows ?? found;
const show = async (db, name) => rowsOf(await db.execute(sql`SELECT current_setting(${name}) AS value`))[0].value;

async function notes(db, body) {
	const rows = await db.select({ tenant: note.tenant, amount: note.amount }).from(note)
		.where(and(eq(note.run, RUN), eq(note.body, body))).orderBy(note.amount);
	return own(rows).map((row) => row.amount);
}

const three = async (db, tenant = OWN) =>
	same(own(await db.select({ tenant: item.tenant }).from(item).where(lt(item.id, 4)), tenant).length, 3);

for (const [number, driver] of Object.keys(DRIVERS).entries()) {
	const base = number * 1000;

	step(`connect/${driver}`, () => using(driver, async (db) => {
		same(own(await db.select({ tenant: item.tenant }).from(item)).length, ITEMS);
	}));

	step(`transactions/${driver}`, () => using(driver, async (db) => {
		await db.transaction(async (tx) => {
			await tx.insert(note).values(value(base + 1, `commit ${driver}`));
			same(await show(tx, "transaction_isolation"), "repeatable read");
		}, { isolationLevel: "repeatable read" });
		await raises(db.transaction(async (tx) => {
			await tx.insert(note).values(value(base + 2, `commit ${driver}`));
			tx.rollback();
		}), "ollback");
		await raises(db.insert(note).values(value(base + 1, `commit ${driver}`)), "23505");
		same(await notes(db, `commit ${driver}`), [base + 1]);
	}));

	step(`savepoints/${driver}`, () => using(driver, async (db) => {
		await db.transaction(async (tx) => {
			await tx.insert(note).values(value(base + 10, `nested ${driver}`));
			await raises(tx.transaction((inner) => inner.insert(note).values(value(base + 10, `nested ${driver}`))), "23505");
			await tx.transaction((inner) => inner.insert(note).values(value(base + 11, `nested ${driver}`)));
		});
		same(await notes(db, `nested ${driver}`), [base + 10, base + 11]);
	}));

	step(`prepared/${driver}`, async () => {
		await using(driver, (a) => using(driver, async (b) => {
			const queries = [a, b].map((db) => db.select({ tenant: item.tenant, id: item.id }).from(item)
				.where(eq(item.id, sql.placeholder("id"))).prepare("find"));
			await Promise.all(range(1, 60).map(async (id) =>
				same(own(await queries[id % 2].execute({ id }), [OWN, OTHER][id % 2])[0].id, id)));
			for (const id of range(1, 6))
				same(own(await queries[id % 2].execute({ id }), [OWN, OTHER][id % 2])[0].id, id);
		}, OTHER));
	});

	step(`batch/${driver}`, () => using(driver, async (db) => {
		const rows = await db.insert(note).values(range(base + 100, base + 300).map((n) => value(n, `batch ${driver}`))).returning();
		same(own(rows).length, 201);
		const changed = await db.update(note).set({ body: `changed ${driver}` }).where(eq(note.body, `batch ${driver}`)).returning();
		same(own(changed).length >= 201, true);
	}));

	// What drizzle's documentation does for row security: a setting in the transaction.
	step(`settings/${driver}`, () => using(driver, async (db) => {
		await Promise.all(range(1, 12).map((n) => db.transaction(async (tx) => {
			await tx.execute(sql`SELECT set_config('app.word', ${`word ${n}`}, true)`);
			same(await show(tx, "app.word"), `word ${n}`);
			await three(tx);
		})));
		same((await rowsOf(await db.execute(sql`SELECT current_setting('app.word', true) AS value`))[0].value) || "", "");
	}));

	step(`cancel/timeout-${driver}`, () => using(driver, async (db) => {
		await raises(db.transaction(async (tx) => {
			await tx.execute(sql`SET LOCAL statement_timeout = 150`);
			await tx.execute(sql`SELECT pg_sleep(30)`);
		}), "57014");
		await three(db);
	}));

	step(`reconnect/${driver}`, () => using(driver, async (db) => {
		await raises(db.transaction(async (tx) => {
			await tx.execute(sql`SET LOCAL idle_in_transaction_session_timeout = 100`);
			await sleep(500);
			await tx.execute(sql`SELECT 1`);
		}), "");
		await three(db);
	}));
}

run(version("drizzle-orm"));
