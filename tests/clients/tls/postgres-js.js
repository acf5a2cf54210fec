// postgres.js: its own words for what does not verify, and tls.connect()'s options.

"use strict";
const postgres = require("postgres");
const { COUNT, secureOptions, takeTurns, version } = require("../shared/turns.js");

async function connect({ host, port, database, user, password, negotiation, ...tls }) {
	const words = tls.mode === "prefer" && !tls.cert;
	const sql = postgres({ host, port: Number(port), database, user, password, max: 1, onnotice: () => {},
		ssl: words ? tls.mode : secureOptions(tls), ...(negotiation && { sslnegotiation: negotiation }) });
	const close = () => sql.end({ timeout: 5 });
	try {
		return { count: (await sql.unsafe(COUNT))[0].count, close };
	} catch (error) {
		await close();
		throw error;
	}
}

takeTurns(version("postgres"), connect);
