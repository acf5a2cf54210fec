// sequelize over pg: literals in the text, a first connection for the types, nested transactions, managed pool.

"use strict";
const { DataTypes, Op, QueryTypes, Sequelize, Transaction } = require("sequelize");
const { DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, range, run, same, sleep, step, version } =
	require("./shared/steps.js");

async function using(action, tenant = OWN, more = {}) {
	const db = new Sequelize(DATABASE, tenant.user, PASSWORD, {
		host: HOST, port: PORT, dialect: "postgres", logging: false, pool: { max: 4, min: 0 },
		define: { freezeTableName: true, timestamps: false }, ...more });
	db.Item = db.define("item", {
		id: { type: DataTypes.INTEGER, primaryKey: true }, tenant: DataTypes.TEXT, name: DataTypes.TEXT, price: DataTypes.DECIMAL,
		made: DataTypes.DATE, tags: DataTypes.ARRAY(DataTypes.TEXT), doc: DataTypes.JSONB });
	db.Note = db.define("note", {
		id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true }, tenant: DataTypes.TEXT, run: DataTypes.TEXT,
		amount: DataTypes.INTEGER, body: DataTypes.TEXT });
	try {
		return await action(db);
	} finally {
		await db.close();
	}
}

const value = (amount, body) => ({ tenant: OWN.name, run: RUN, amount, body });
const notes = async (db, body, more) =>
	own(await db.Note.findAll({ where: { run: RUN, body }, order: ["amount"], ...more })).map((row) => row.amount);
const three = async (db, tenant = OWN) => same(own(await db.Item.findAll({ where: { id: { [Op.lt]: 4 } } }), tenant).length, 3);

step("connect/authenticate", () => using(async (db) => {
	await db.authenticate();
	same(own(await db.Item.findAll()).length, ITEMS);
	same(Object.keys(await db.getQueryInterface().describeTable("note")).length, 6);
}));

step("connect/wrong-password", () => raises(using((db) => {
	db.connectionManager.config.password = "wrong";
	return db.authenticate();
}), "password authentication failed"));

step("connect/startup-settings", () => using(async (db) => {
	await Promise.all(range(1, 8).map(async () => {
		const [{ zone, timeout }] = await db.query(
			"SELECT current_setting('TimeZone') AS zone, current_setting('statement_timeout') AS timeout", { type: QueryTypes.SELECT });
		same([zone, timeout], ["Asia/Tokyo", "12345ms"]);
	}));
}, OWN, { timezone: "Asia/Tokyo", dialectOptions: { statement_timeout: 12345 } }));

step("transactions/commit", () => using(async (db) => {
	await db.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ }, async (transaction) => {
		await db.Note.create(value(1, "commit"), { transaction });
		const [row] = await db.query("SHOW transaction_isolation", { transaction, type: QueryTypes.SELECT });
		same(row.transaction_isolation, "repeatable read");
	});
	same(await notes(db, "commit"), [1]);
}));

step("transactions/rollback", () => using(async (db) => {
	await raises(db.transaction(async (transaction) => {
		await db.Note.create(value(2, "rollback"), { transaction });
		await db.Note.create(value(2, "rollback"), { transaction });
	}), "23505");
	same(await notes(db, "rollback"), []);
}));

step("savepoints/nested", () => using(async (db) => {
	await db.transaction(async (transaction) => {
		await db.Note.create(value(10, "nested"), { transaction });
		await raises(db.transaction({ transaction }, (inner) =>
			db.Note.create(value(10, "nested"), { transaction: inner })), "23505");
		await db.transaction({ transaction }, (inner) => db.Note.create(value(11, "nested"), { transaction: inner }));
	});
	same(await notes(db, "nested"), [10, 11]);
}));

step("prepared/bind", () => using(async (db) => {
	for (const id of range(1, 8)) {
		const found = await db.query("SELECT tenant, id FROM item WHERE id = $id", { bind: { id }, type: QueryTypes.SELECT });
		same(own(found)[0].id, id);
		same(own([await db.Item.findByPk(id)])[0].tags, [OWN.name, `tag ${id % 7}`]);
	}
}));

step("batch/bulk-create", () => using(async (db) => {
	same(own(await db.Note.bulkCreate(range(100, 400).map((n) => value(n, "batch")))).length, 301);
	same((await db.Note.update({ body: "changed" }, { where: { run: RUN, body: "batch" } }))[0], 301);
	same(await db.Note.destroy({ where: { run: RUN, body: "changed" } }), 301);
	const [found, created] = await db.Note.findOrCreate({ where: value(500, "found") });
	same([found.amount, created], [500, true]);
	same((await db.Note.findCreateFind({ where: value(500, "found") }))[1], false);
	same((await db.Note.findCreateFind({ where: value(501, "found") }))[1], true);
}));

step("cursor/pages", () => using(async (db) => {
	let found = [];
	for (let offset = 0; offset < 300; offset += 100)
		found = found.concat(own(await db.Item.findAll({ order: ["id"], limit: 100, offset })).map((row) => row.id));
	same(found, range(1, 300));
}));

step("cancel/timeout", () => using(async (db) => {
	await raises(db.query("SELECT pg_sleep(30)"), "57014");
	await three(db);
}, OWN, { dialectOptions: { statement_timeout: 150 } }));

step("settings/transaction", () => using(async (db) => {
	await Promise.all(range(1, 10).map((n) => db.transaction(async (transaction) => {
		await db.query(`SET LOCAL work_mem = '${n}MB'`, { transaction });
		const [row] = await db.query("SHOW work_mem", { transaction, type: QueryTypes.SELECT });
		same(row.work_mem, `${n}MB`);
	})));
}));

step("reconnect/pool", () => using((a) => using(async (b) => {
	await Promise.all(range(1, 60).map((n) => three([a, b][n % 2], [OWN, OTHER][n % 2])));
}, OTHER)));

step("reconnect/ended-by-server", () => using(async (db) => {
	await raises(db.transaction(async (transaction) => {
		await db.query("SET LOCAL idle_in_transaction_session_timeout = 100", { transaction });
		await sleep(500);
		await db.query("SELECT 1", { transaction });
	}), "");
	await three(db);
}));

run(version("sequelize"));
