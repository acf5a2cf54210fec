// node-postgres: TLS or none; SCRAM-SHA-256-PLUS where it is told so and offered it.

"use strict";
const { Client } = require("pg");
const { COUNT, secureOptions, takeTurns, version } = require("../shared/turns.js");

async function connect({ host, port, database, user, password, binding, negotiation, ...tls }) {
	const client = new Client({ host, port: Number(port), database, user, password, ssl: secureOptions(tls),
		enableChannelBinding: binding === "require", ...(negotiation && { sslnegotiation: negotiation }) });
	let mechanism;
	client.on("error", () => {});
	// The library goes on without the binding where it is not offered; what it has chosen is asked here.
	const send = client.connection.sendSASLInitialResponseMessage;
	client.connection.sendSASLInitialResponseMessage = function (name, ...rest) {
		mechanism = name;
		return send.call(this, name, ...rest);
	};
	await client.connect();
	if ((binding === "require") !== (mechanism === "SCRAM-SHA-256-PLUS")) {
		await client.end();
		throw new Error(`logged in by ${mechanism}`);
	}
	return { count: (await client.query(COUNT)).rows[0].count, close: () => client.end() };
}

takeTurns(version("pg"), connect);
