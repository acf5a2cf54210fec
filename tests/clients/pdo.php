<?php
/* PHP's PDO: named statements that are deallocated in SQL, emulated ones, lastInsertId, COPY by arrays. */

const HOST_VARIABLES = ['CLIENT_HOST', 'CLIENT_PORT', 'CLIENT_DATABASE'];
define('RUN', getenv('CLIENT_RUN'));
define('OWN', getenv('CLIENT_TENANT'));
define('OTHER', getenv('CLIENT_OTHER_TENANT'));
const FOUR = [OWN, OTHER, OWN, OTHER];
const ZONES = ['Asia/Tokyo', 'Europe/Paris', 'America/Lima', 'Africa/Cairo'];
const ITEMS = 1000;
const INSERT = 'INSERT INTO note (tenant, run, amount, body) VALUES (?, ?, ?, ?)';

$steps = [];

function step(string $name, callable $action): void
{
	global $steps;
	$steps[$name] = $action;
}

function same($found, $expected): void
{
	if ($found !== $expected)
		throw new Exception('found ' . json_encode($found) . ', not ' . json_encode($expected));
}

function dsn(string $more = ''): string
{
	[$host, $port, $database] = array_map('getenv', HOST_VARIABLES);
	return "pgsql:host=$host;port=$port;dbname=$database;$more";
}

function user(string $tenant): string
{
	return getenv($tenant === OWN ? 'CLIENT_USER' : 'CLIENT_OTHER_USER');
}

function connect(string $tenant = OWN, array $options = [], string $more = '', ?string $password = null): PDO
{
	return new PDO(dsn($more), user($tenant), $password ?? getenv('CLIENT_PASSWORD'), $options);
}

/** The rows without their first column, which must name the tenant. */
function own(array $rows, string $tenant = OWN): array
{
	foreach ($rows as $row)
		if ($row[0] !== $tenant)
			throw new Exception("a row of $row[0] seen as $tenant");
	return array_map(fn($row) => $row[1] ?? null, $rows);
}

function raises(string $text, callable $action): void
{
	try {
		$action();
	} catch (PDOException $error) {
		if ($error->getCode() !== $text && !str_contains($error->getMessage(), $text))
			throw new Exception($error->getMessage() . " in place of $text");
		return;
	}
	throw new Exception("no error $text");
}

function query(PDO $pdo, string $text, array $values = [], string $tenant = OWN): array
{
	$statement = $pdo->prepare($text);
	$statement->execute($values);
	return own($statement->fetchAll(PDO::FETCH_NUM), $tenant);
}

function value(PDO $pdo, string $text)
{
	return $pdo->query($text)->fetchColumn();
}

function add(PDO $pdo, int $amount, string $body): void
{
	$pdo->prepare(INSERT)->execute([OWN, RUN, $amount, $body]);
}

function notes(PDO $pdo, string $body): array
{
	return query($pdo, 'SELECT tenant, amount FROM note WHERE run = ? AND body = ? ORDER BY amount', [RUN, $body]);
}

function three(PDO $pdo, string $tenant = OWN): void
{
	same(query($pdo, 'SELECT tenant, id FROM item WHERE id < ? ORDER BY id', [4], $tenant), [1, 2, 3]);
}

step('connect/login', function () {
	$pdo = connect(OWN, [], "application_name='pdo script'");
	same(count(own($pdo->query('SELECT tenant, id FROM item')->fetchAll(PDO::FETCH_NUM))), ITEMS);
	same(value($pdo, 'SHOW application_name'), 'pdo script');
	same(str_contains($pdo->getAttribute(PDO::ATTR_CONNECTION_STATUS), 'OK'), true);
});

step('connect/wrong-password', fn() => raises('password authentication failed', fn() => connect(OWN, [], '', 'wrong')));

step('connect/startup-settings', function () {
	$pdo = connect(OWN, [], "options='-c statement_timeout=12345 -c search_path=pg_catalog,public'");
	for ($turn = 0; $turn < 3; $turn++) {
		same(value($pdo, 'SHOW statement_timeout'), '12345ms');
		same(value($pdo, 'SHOW search_path'), 'pg_catalog,public');
	}
});

step('transactions/commit', function () {
	$pdo = connect();
	same($pdo->beginTransaction(), true);
	add($pdo, 1, 'commit');
	same($pdo->inTransaction(), true);
	$pdo->commit();
	same($pdo->inTransaction(), false);
	same(notes($pdo, 'commit'), [1]);
});

step('transactions/error', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	add($pdo, 2, 'error');
	raises('23505', fn() => add($pdo, 2, 'error'));
	raises('25P02', fn() => add($pdo, 3, 'error'));
	$pdo->rollBack();
	same(notes($pdo, 'error'), []);
});

step('savepoints/nested', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	add($pdo, 10, 'nested');
	$pdo->exec('SAVEPOINT trans2');
	add($pdo, 11, 'nested');
	raises('22012', fn() => $pdo->query('SELECT 1/0'));
	$pdo->exec('ROLLBACK TO SAVEPOINT trans2');
	add($pdo, 12, 'nested');
	$pdo->exec('RELEASE SAVEPOINT trans2');
	$pdo->commit();
	same(notes($pdo, 'nested'), [10, 12]);
});

step('prepared/types', function () {
	$statement = connect()->prepare('SELECT tenant, price, made, tags, doc FROM item WHERE id = :id AND price > :price');
	for ($id = 1; $id < 5; $id++) {
		$statement->bindValue('id', $id, PDO::PARAM_INT);
		$statement->bindValue('price', '0.5');
		$statement->execute();
		$row = $statement->fetch(PDO::FETCH_ASSOC);
		same([$row['tenant'], $row['price'], json_decode($row['doc'])->n], [OWN, "$id.25", $id]);
	}
	same($statement->getColumnMeta(1)['native_type'], 'numeric');
});

step('prepared/kept-while-idle', function () {
	$all = array_map('connect', FOUR);
	$statements = [];
	foreach ($all as $number => $pdo)
		$statements[] = $pdo->prepare("SELECT tenant, id + $number FROM item WHERE id = ?");
	for ($turn = 1; $turn <= 5; $turn++)
		foreach ($statements as $number => $statement) {
			$statement->execute([$turn]);
			same(own($statement->fetchAll(PDO::FETCH_NUM), FOUR[$number]), [$turn + $number]);
			three($all[$number], FOUR[$number]);
		}
});

step('prepared/emulated', function () {
	$pdo = connect(OWN, [PDO::ATTR_EMULATE_PREPARES => true]);
	for ($n = 1; $n < 6; $n++)
		same(query($pdo, 'SELECT tenant, id FROM item WHERE id = ? AND name <> ?', [$n, "it's"]), [$n]);
});

step('prepared/not-prepared', function () {
	$pdo = connect(OWN, [PDO::PGSQL_ATTR_DISABLE_PREPARES => true]);
	for ($n = 1; $n < 6; $n++)
		same(query($pdo, 'SELECT tenant, id FROM item WHERE id = ?', [$n]), [$n]);
});

/* PDO ends a statement with the SQL DEALLOCATE of a name that it gave in the protocol. */
step('prepared/many', function () {
	$pdo = connect();
	for ($n = 1; $n <= 60; $n++)
		same(query($pdo, "SELECT tenant, $n FROM item WHERE id = ?", [$n]), [$n]);
});

step('prepared/after-error', function () {
	$pdo = connect();
	$divide = $pdo->prepare('SELECT tenant, 10 / ?::int FROM item WHERE id = 1');
	$divide->execute([5]);
	same(own($divide->fetchAll(PDO::FETCH_NUM)), [2]);
	raises('22012', fn() => $divide->execute([0]));
	raises('42601', fn() => $pdo->prepare('SELECT FROM WHERE ?')->execute([1]));
	$divide->execute([2]);
	same(own($divide->fetchAll(PDO::FETCH_NUM)), [5]);
});

step('prepared/last-insert-id', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	add($pdo, 20, 'last id');
	$id = $pdo->lastInsertId();
	same(query($pdo, 'SELECT tenant, amount FROM note WHERE id = ?', [$id]), [20]);
	$pdo->commit();
});

/* The same without a transaction around: LASTVAL() belongs to the session. Bulkhead refuses the first one of a tenant where
 * others have used the backend since (docs/clients.md), and keeps backends from then on. */
step('session/last-insert-id', function () {
	$pdo = connect();
	add($pdo, 19, 'first last id');
	try {
		$pdo->lastInsertId();
	} catch (PDOException $refused) {
		same($refused->getCode(), '55000');
	}
	for ($amount = 21; $amount < 26; $amount++) {
		add($pdo, $amount, 'last id');
		usleep(5000);
		same(query($pdo, 'SELECT tenant, amount FROM note WHERE id = ?', [$pdo->lastInsertId()]), [$amount]);
	}
});

step('batch/many-statements', function () {
	$pdo = connect();
	$pdo->exec("INSERT INTO note (tenant, run, amount, body) VALUES ('" . OWN . "', '" . RUN . "', 30, 'batch'); /* nothing */ ;");
	raises('22012', fn() => $pdo->exec("DELETE FROM note WHERE run = '" . RUN . "' AND body = 'batch'; SELECT 1/0"));
	same(notes($pdo, 'batch'), [30]);
});

step('cursor/scroll', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	$cursor = $pdo->prepare('SELECT tenant, id FROM item ORDER BY id', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
	$cursor->execute();
	for ($n = 1; $n <= 100; $n++)
		same($cursor->fetch(PDO::FETCH_NUM), [OWN, $n]);
	same($cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 500), [OWN, 500]);
	same($cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR), [OWN, 499]);
	$cursor->closeCursor();
	$pdo->commit();
});

step('copy/out', function () {
	$rows = connect()->pgsqlCopyToArray('item (tenant, id)');
	same(count($rows), 0 + ITEMS);
	foreach ($rows as $row)
		same(explode("\t", $row)[0], OWN);
});

step('copy/in', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	$pdo->exec('CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP');
	same($pdo->pgsqlCopyFromArray('incoming', array_map(fn($n) => "$n\tcopy\n", range(1000, 2999))), true);
	$pdo->exec("INSERT INTO note (tenant, run, amount, body) SELECT '" . OWN . "', '" . RUN . "', amount, body FROM incoming");
	same(notes($pdo, 'copy'), range(1000, 2999));
	$pdo->rollBack();
	raises('0A000', fn() => $pdo->pgsqlCopyFromArray('note', ["1\n"], "\t", '\\N', 'amount'));
	three($pdo);
});

/* PDO has no cancel: the timeout of the server. */
step('cancel/timeout', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	$pdo->exec('SET LOCAL statement_timeout = 150');
	raises('57014', fn() => $pdo->query('SELECT pg_sleep(30)'));
	$pdo->rollBack();
	three($pdo);
});

step('settings/kept-while-idle', function () {
	$all = array_map('connect', FOUR);
	foreach ($all as $number => $pdo)
		$pdo->exec("SET TIME ZONE '" . ZONES[$number] . "'");
	for ($turn = 0; $turn < 3; $turn++)
		foreach ($all as $number => $pdo) {
			same(value($pdo, 'SHOW TimeZone'), ZONES[$number]);
			three($pdo, FOUR[$number]);
		}
});

step('settings/transaction', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	$pdo->exec("SET LOCAL work_mem = '1MB'");
	same(value($pdo, 'SHOW work_mem'), '1MB');
	$pdo->commit();
	same(value($pdo, 'SHOW work_mem'), '4MB');
});

step('session/temporary-table', function () {
	foreach ([OWN, OTHER] as $tenant) {
		$pdo = connect($tenant);
		$pdo->exec('CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6');
		usleep(20000);
		same(query($pdo, 'SELECT * FROM mine ORDER BY id', [], $tenant), [1, 2, 3, 4, 5]);
		$pdo->exec('DROP TABLE mine');
	}
});

step('reset/discard-all', function () {
	$pdo = connect();
	$statement = $pdo->prepare('SELECT tenant, id FROM item WHERE id = ?');
	$statement->execute([1]);
	$pdo->exec("SET work_mem = '1MB'");
	$pdo->exec('DISCARD ALL');
	same(value($pdo, 'SHOW work_mem'), '4MB');
	raises('26000', fn() => $statement->execute([2]));
	$pdo->exec('RESET ALL');
	three($pdo);
});

/* A persistent connection goes on with the state that it was left in. */
step('reconnect/persistent', function () {
	for ($turn = 0; $turn < 8; $turn++) {
		$pdo = connect(FOUR[$turn % 4], [PDO::ATTR_PERSISTENT => true]);
		three($pdo, FOUR[$turn % 4]);
		$pdo->beginTransaction();
		$pdo = null;
	}
});

step('reconnect/ended-by-server', function () {
	$pdo = connect();
	$pdo->beginTransaction();
	$pdo->exec('SET LOCAL idle_in_transaction_session_timeout = 100');
	usleep(500000);
	raises('idle-in-transaction timeout', fn() => $pdo->exec('SELECT 1'));
	three(connect());
});

step('reconnect/many', function () {
	for ($turn = 0; $turn < 12; $turn++)
		three(connect(FOUR[$turn % 4]), FOUR[$turn % 4]);
});

echo 'version ', phpversion('pdo_pgsql'), "\n";
$failed = 0;
foreach ($steps as $name => $action) {
	if ($argc > 1 && !array_filter(array_slice($argv, 1), fn($start) => str_starts_with($name, $start)))
		continue;
	try {
		$action();
		echo "ok $name\n";
	} catch (Throwable $error) {
		$failed = 1;
		echo "FAIL $name: ", preg_replace('/\s+/', ' ', $error->getMessage()), "\n";
	}
}
exit($failed);
