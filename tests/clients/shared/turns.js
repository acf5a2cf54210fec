// What the scripts for TLS in node share; see turns.py.

"use strict";
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

const COUNT = "SELECT count(*)::int AS count FROM orders";

function version(name) {
	return JSON.parse(fs.readFileSync(path.join(process.env.NODE_PATH, name, "package.json"))).version;
}

// What tls.connect() takes, for one of libpq's modes; false for none.
function secureOptions({ mode, ca, crl, cert, key }) {
	if (mode === "disable")
		return false;
	const file = (name) => name && fs.readFileSync(name);
	return {
		...(cert && { cert: file(cert), key: file(key) }),
		...(crl && { crl: file(crl) }),
		...(mode.startsWith("verify") ? { ca: file(ca) } : { rejectUnauthorized: false }),
		...(mode === "verify-ca" && { checkServerIdentity: () => undefined }),
	};
}

// `connect(options)` gives the number of rows and a function that closes the connection.
async function takeTurns(said, connect) {
	console.log(`version ${said}`);
	let close;
	for await (const line of readline.createInterface({ input: process.stdin })) {
		if (close) {
			await close();
			close = undefined;
			console.log("closed");
			continue;
		}
		try {
			const options = Object.fromEntries(line.split("\t").map((part) => {
				const at = part.indexOf("=");
				return [part.slice(0, at), part.slice(at + 1)];
			}));
			const found = await connect(options);
			close = found.close;
			console.log(`in ${found.count}`);
		} catch (error) {
			console.log(`out ${`${error.code || ""} ${error.message}`.trim().replace(/\s+/g, " ")}`);
		}
	}
}

module.exports = { COUNT, secureOptions, takeTurns, version };
