// What the scripts for node share: whom to connect as, and one line printed for each step (see steps.py).

"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const env = process.env;
const OWN = { name: env.CLIENT_TENANT, user: env.CLIENT_USER };
const OTHER = { name: env.CLIENT_OTHER_TENANT, user: env.CLIENT_OTHER_USER };
const steps = [];

// Fails when a row says that it belongs to another tenant; gives the rows back.
function own(rows, tenant = OWN) {
	for (const row of rows)
		if (row.tenant !== tenant.name)
			throw new Error(`a row of ${row.tenant} seen as ${tenant.name}`);
	return rows;
}

// That the promise, or the function, fails with this SQLSTATE or text.
async function raises(promise, text) {
	try {
		await (typeof promise === "function" ? promise() : promise);
	} catch (error) {
		const found = [error, error.cause, error.parent, error.driverError].filter(Boolean);
		if (!found.some((one) => one.code === text || `${one.message}`.includes(text)))
			throw new Error(`${error.code} ${error.message} in place of ${text}`);
		return error;
	}
	throw new Error(`no error ${text}`);
}

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => first + n);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function version(...packages) {
	const one = (name) => JSON.parse(fs.readFileSync(path.join(env.NODE_PATH, name, "package.json"))).version;
	return packages.map(one).join(", ");
}

async function run(versions) {
	console.log(`version ${versions}`);
	const only = process.argv.slice(2);
	let failed = false, stray; // an error that nobody waited for belongs to the step that runs
	process.on("unhandledRejection", (error) => { stray = error; });
	process.on("uncaughtException", (error) => { stray = error; });
	for (const [name, action] of steps) {
		if (only.length && !only.some((start) => name.startsWith(start)))
			continue;
		try {
			stray = undefined;
			await action();
			if (stray)
				throw stray;
			console.log(`ok ${name}`);
		} catch (error) {
			failed = true;
			console.log(`FAIL ${name}: ${`${error.code || ""} ${error.message}`.trim().replace(/\s+/g, " ")}`);
		}
	}
	process.exit(failed ? 1 : 0);
}

module.exports = {
	HOST: env.CLIENT_HOST, PORT: Number(env.CLIENT_PORT), DATABASE: env.CLIENT_DATABASE, PASSWORD: env.CLIENT_PASSWORD,
	RUN: env.CLIENT_RUN, OWN, OTHER, FOUR: [OWN, OTHER, OWN, OTHER], ITEMS: 1000,
	ZONES: ["Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo"],
	step: (name, action) => steps.push([name, action]),
	same: assert.deepEqual, own, raises, range, sleep, version, run,
};
