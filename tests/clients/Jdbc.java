/* JDBC: unnamed statements that become named after five uses, BEGIN glued to the first query, portals, CopyManager. */

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.copy.CopyOut;
import org.postgresql.ds.PGConnectionPoolDataSource;
import org.postgresql.xa.PGXADataSource;

public class Jdbc {
	static final String RUN = System.getenv("CLIENT_RUN"), PASSWORD = System.getenv("CLIENT_PASSWORD");
	static final String OWN = System.getenv("CLIENT_TENANT"), OTHER = System.getenv("CLIENT_OTHER_TENANT");
	static final String[] FOUR = {OWN, OTHER, OWN, OTHER};
	static final String INSERT = "INSERT INTO note (tenant, run, amount, body) VALUES (?, ?, ?, ?)";
	static final int ITEMS = 1000;

	interface Action {
		void run() throws Exception;
	}

	static final Map<String, Action> steps = new LinkedHashMap<>();

	static String user(String tenant) {
		return System.getenv(tenant.equals(OWN) ? "CLIENT_USER" : "CLIENT_OTHER_USER");
	}

	static Connection connect(String tenant, String... more) throws SQLException {
		Properties properties = new Properties();
		properties.setProperty("user", user(tenant));
		properties.setProperty("password", PASSWORD);
		String database = System.getenv("CLIENT_DATABASE");
		for (int i = 0; i < more.length; i += 2)
			if (more[i].equals("database"))
				database = more[i + 1];
			else
				properties.setProperty(more[i], more[i + 1]);
		return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("CLIENT_HOST") + ":"
			+ System.getenv("CLIENT_PORT") + "/" + database, properties);
	}

	static void same(Object found, Object expected) {
		if (!Objects.equals(found, expected))
			throw new AssertionError("found " + found + ", not " + expected);
	}

	static void raises(String state, Action action) throws Exception {
		try {
			action.run();
		} catch (SQLException error) {
			if (!state.equals(error.getSQLState()))
				throw new AssertionError(error.getSQLState() + " " + error.getMessage() + " in place of " + state);
			return;
		}
		throw new AssertionError("no error " + state);
	}

	/** The second column of all rows, whose first must name the tenant. */
	static List<String> own(ResultSet rows, String tenant) throws SQLException {
		List<String> found = new ArrayList<>();
		while (rows.next()) {
			if (!tenant.equals(rows.getString(1)))
				throw new AssertionError("a row of " + rows.getString(1) + " seen as " + tenant);
			found.add(rows.getString(2));
		}
		rows.close();
		return found;
	}

	static List<String> range(int first, int last) {
		List<String> numbers = new ArrayList<>();
		for (int n = first; n <= last; n++)
			numbers.add(String.valueOf(n));
		return numbers;
	}

	static String value(Connection connection, String sql) throws SQLException {
		try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
			rows.next();
			return rows.getString(1);
		}
	}

	static void execute(Connection connection, String sql) throws SQLException {
		try (Statement statement = connection.createStatement()) {
			statement.execute(sql);
		}
	}

	static void insert(Connection connection, int amount, String body) throws SQLException {
		try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
			bind(statement, amount, body);
			same(statement.executeUpdate(), 1);
		}
	}

	static void bind(PreparedStatement statement, int amount, String body) throws SQLException {
		statement.setString(1, OWN);
		statement.setString(2, RUN);
		statement.setInt(3, amount);
		statement.setString(4, body);
	}

	static List<String> notes(Connection connection, String body) throws SQLException {
		try (PreparedStatement statement = connection.prepareStatement(
				"SELECT tenant, amount FROM note WHERE run = ? AND body = ? ORDER BY amount")) {
			statement.setString(1, RUN);
			statement.setString(2, body);
			return own(statement.executeQuery(), OWN);
		}
	}

	static List<String> find(PreparedStatement statement, int id, String tenant) throws SQLException {
		statement.setInt(1, id);
		return own(statement.executeQuery(), tenant);
	}

	static void three(Connection connection, String tenant) throws SQLException {
		try (Statement statement = connection.createStatement()) {
			same(own(statement.executeQuery("SELECT tenant, id FROM item WHERE id < 4 ORDER BY id"), tenant), range(1, 3));
		}
	}

	static void connecting() {
		steps.put("connect/login", () -> {
			try (Connection connection = connect(OWN, "ApplicationName", "jdbc script")) {
				try (Statement statement = connection.createStatement()) {
					same(own(statement.executeQuery("SELECT tenant, id FROM item ORDER BY id"), OWN), range(1, ITEMS));
				}
				same(value(connection, "SHOW application_name"), "jdbc script");
				same(connection.isValid(5), true);
			}
		});
		steps.put("connect/wrong-password", () -> raises("28P01", () -> connect(OWN, "password", "wrong")));
		steps.put("connect/unknown-database", () -> raises("3D000", () -> connect(OWN, "database", "nowhere")));
		steps.put("connect/startup-settings", () -> {
			try (Connection connection = connect(OWN, "currentSchema", "pg_catalog,public", "options",
					"-c statement_timeout=12345 -c app.words=two\\ words")) {
				for (int turn = 0; turn < 3; turn++) {
					same(value(connection, "SHOW search_path"), "pg_catalog,public");
					same(value(connection, "SHOW statement_timeout"), "12345ms");
					same(value(connection, "SHOW app.words"), "two words");
				}
			}
		});
		steps.put("connect/catalogs", () -> {
			try (Connection connection = connect(OWN)) {
				List<String> columns = new ArrayList<>();
				ResultSet rows = connection.getMetaData().getColumns(null, "public", "note", null);
				while (rows.next())
					columns.add(rows.getString("COLUMN_NAME"));
				same(columns, List.of("tenant_id", "id", "tenant", "run", "amount", "body"));
			}
		});
	}

	static void transactions() {
		steps.put("transactions/commit", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
				insert(connection, 1, "commit");
				same(value(connection, "SHOW transaction_isolation"), "repeatable read");
				connection.commit();
				same(notes(connection, "commit"), List.of("1"));
				connection.commit();
			}
		});
		steps.put("transactions/error", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				insert(connection, 2, "error");
				raises("23505", () -> insert(connection, 2, "error"));
				raises("25P02", () -> three(connection, OWN));
				connection.rollback();
				same(notes(connection, "error"), List.of());
				connection.rollback();
			}
		});
		steps.put("transactions/read-only", () -> {
			for (String how : new String[] {"ignore", "transaction", "always"})
				try (Connection connection = connect(OWN, "readOnlyMode", how)) {
					connection.setReadOnly(true);
					connection.setAutoCommit(false);
					three(connection, OWN);
					if (!how.equals("ignore"))
						raises("25006", () -> insert(connection, 3, "read only"));
					connection.rollback();
					connection.setReadOnly(false);
					insert(connection, 3, "read only");
					connection.rollback();
				}
		});
		steps.put("transactions/two-phase", () -> {
			PGXADataSource source = new PGXADataSource();
			source.setUrl("jdbc:postgresql://" + System.getenv("CLIENT_HOST") + ":" + System.getenv("CLIENT_PORT") + "/"
				+ System.getenv("CLIENT_DATABASE"));
			source.setUser(user(OWN));
			source.setPassword(PASSWORD);
			javax.sql.XAConnection connection = source.getXAConnection();
			javax.transaction.xa.Xid xid = new javax.transaction.xa.Xid() {
				public int getFormatId() { return 1; }
				public byte[] getGlobalTransactionId() { return RUN.getBytes(); }
				public byte[] getBranchQualifier() { return new byte[] {1}; }
			};
			connection.getXAResource().start(xid, javax.transaction.xa.XAResource.TMNOFLAGS);
			insert(connection.getConnection(), 4, "two phase");
			connection.getXAResource().end(xid, javax.transaction.xa.XAResource.TMSUCCESS);
			connection.getXAResource().prepare(xid);
			connection.getXAResource().commit(xid, false);
			same(notes(connection.getConnection(), "two phase"), List.of("4"));
			connection.close();
		});
		steps.put("savepoints/nested", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				insert(connection, 10, "nested");
				Savepoint outer = connection.setSavepoint();
				insert(connection, 11, "nested");
				Savepoint inner = connection.setSavepoint("an inner one");
				raises("23505", () -> insert(connection, 11, "nested"));
				connection.rollback(inner);
				insert(connection, 12, "nested");
				connection.releaseSavepoint(inner);
				connection.rollback(outer);
				insert(connection, 13, "nested");
				connection.commit();
				same(notes(connection, "nested"), List.of("10", "13"));
				connection.commit();
			}
		});
		steps.put("savepoints/autosave", () -> {
			try (Connection connection = connect(OWN, "autosave", "always")) {
				connection.setAutoCommit(false);
				insert(connection, 20, "autosave");
				raises("23505", () -> insert(connection, 20, "autosave"));
				insert(connection, 21, "autosave");
				connection.commit();
				same(notes(connection, "autosave"), List.of("20", "21"));
				connection.commit();
			}
		});
	}

	static void prepared() {
		steps.put("prepared/becomes-named", () -> {
			try (Connection connection = connect(OWN);
					PreparedStatement statement = connection.prepareStatement("SELECT tenant, name FROM item WHERE id = ?")) {
				for (int n = 1; n <= 12; n++)
					same(find(statement, n, OWN), List.of(OWN + " " + n));
				same(((PGStatement) statement).isUseServerPrepare(), true);
			}
		});
		steps.put("prepared/types", () -> {
			for (String binary : new String[] {"true", "false"})
				try (Connection connection = connect(OWN, "binaryTransfer", binary, "prepareThreshold", "1");
						PreparedStatement statement = connection.prepareStatement(
							"SELECT tenant, price, made, tags, doc FROM item WHERE id = ANY (?) AND price > ?")) {
					for (int turn = 0; turn < 4; turn++) {
						statement.setArray(1, connection.createArrayOf("int4", new Object[] {7}));
						statement.setBigDecimal(2, new BigDecimal("1.5"));
						ResultSet rows = statement.executeQuery();
						same(rows.next(), true);
						same(rows.getString(1), OWN);
						same(rows.getBigDecimal(2), new BigDecimal("7.25"));
						same(rows.getTimestamp(3).toInstant().toString(), "2026-01-01T07:00:00Z");
						same(((String[]) rows.getArray(4).getArray())[0], OWN);
						same(rows.getString(5).contains("\"" + OWN + "\""), true);
					}
				}
		});
		steps.put("prepared/kept-while-idle", () -> {
			Connection[] connections = new Connection[4];
			PreparedStatement[] statements = new PreparedStatement[4];
			for (int i = 0; i < 4; i++) {
				connections[i] = connect(FOUR[i], "prepareThreshold", "1");
				statements[i] = connections[i].prepareStatement("SELECT tenant, id + " + i + " FROM item WHERE id = ?");
			}
			for (int turn = 1; turn <= 5; turn++)
				for (int i = 0; i < 4; i++) {
					connections[i].setAutoCommit(turn % 2 == 0);
					same(find(statements[i], turn, FOUR[i]), range(turn + i, turn + i));
					if (turn % 2 != 0)
						connections[i].commit();
				}
			for (Connection connection : connections)
				connection.close();
		});
		steps.put("prepared/many", () -> {
			try (Connection connection = connect(OWN, "prepareThreshold", "1", "preparedStatementCacheQueries", "10")) {
				for (int turn = 0; turn < 2; turn++)
					for (int n = 1; n <= 40; n++)
						try (PreparedStatement statement = connection.prepareStatement(
								"SELECT tenant, " + n + " FROM item WHERE id = ?")) {
							same(find(statement, n, OWN), range(n, n));
						}
			}
		});
		steps.put("prepared/after-error", () -> {
			try (Connection connection = connect(OWN, "prepareThreshold", "1");
					PreparedStatement divide = connection.prepareStatement("SELECT tenant, 10 / ? FROM item WHERE id = 1")) {
				same(find(divide, 5, OWN), List.of("2"));
				raises("22012", () -> find(divide, 0, OWN));
				raises("42601", () -> connection.prepareStatement("SELECT FROM WHERE ?").getParameterMetaData());
				same(find(divide, 2, OWN), List.of("5"));
			}
		});
		steps.put("prepared/generated-keys", () -> {
			try (Connection connection = connect(OWN);
					PreparedStatement statement = connection.prepareStatement(INSERT, Statement.RETURN_GENERATED_KEYS)) {
				for (int n = 30; n < 40; n++) {
					bind(statement, n, "keys");
					statement.executeUpdate();
					ResultSet keys = statement.getGeneratedKeys();
					same(keys.next(), true);
					same(keys.getString("tenant"), OWN);
					same(keys.getInt("amount"), n);
				}
			}
		});
		for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"})
			steps.put("prepared/" + mode.toLowerCase(), () -> {
				try (Connection connection = connect(OWN, "preferQueryMode", mode)) {
					for (int n = 1; n <= 8; n++)
						try (PreparedStatement statement = connection.prepareStatement("SELECT tenant, id FROM item WHERE id = ?")) {
							same(find(statement, n, OWN), range(n, n));
							three(connection, OWN);
						}
				}
			});
	}

	static void batches() {
		for (String rewrite : new String[] {"false", "true"})
			steps.put(rewrite.equals("true") ? "batch/rewritten" : "batch/plain", () -> {
				String body = "batch " + rewrite;
				int first = rewrite.equals("true") ? 1000 : 100;
				try (Connection connection = connect(OWN, "reWriteBatchedInserts", rewrite)) {
					for (int turn = 0; turn < 3; turn++)
						try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
							for (int n = 0; n < 200; n++) {
								bind(statement, first + turn * 200 + n, body);
								statement.addBatch();
							}
							same(statement.executeBatch().length, 200);
						}
					same(notes(connection, body), range(first, first + 599));
				}
			});
		steps.put("batch/error", () -> {
			try (Connection connection = connect(OWN); PreparedStatement statement = connection.prepareStatement(INSERT)) {
				connection.setAutoCommit(false);
				for (int n : new int[] {2000, 2001, 2000, 2002}) {
					bind(statement, n, "batch error");
					statement.addBatch();
				}
				try {
					statement.executeBatch();
					throw new AssertionError("no error");
				} catch (BatchUpdateException error) {
					same(error.getSQLState(), "23505");
				}
				connection.rollback();
				same(notes(connection, "batch error"), List.of());
				connection.rollback();
			}
		});
		steps.put("batch/several-statements", () -> {
			try (Connection connection = connect(OWN); Statement statement = connection.createStatement()) {
				same(statement.execute("SELECT 1; /* nothing */ SELECT tenant, id FROM item WHERE id = 2"), true);
				same(statement.getMoreResults(), true);
				same(own(statement.getResultSet(), OWN), List.of("2"));
				statement.execute("-- nothing");
			}
		});
	}

	static void cursorsAndCopy() {
		steps.put("cursor/fetch-size", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				try (PreparedStatement statement = connection.prepareStatement("SELECT tenant, id FROM item WHERE id > ? ORDER BY id")) {
					statement.setFetchSize(64);
					same(find(statement, 10, OWN), range(11, ITEMS));
				}
				connection.commit();
			}
		});
		steps.put("cursor/two-at-once", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				Statement one = connection.createStatement(), two = connection.createStatement();
				one.setFetchSize(10);
				two.setFetchSize(7);
				ResultSet up = one.executeQuery("SELECT tenant, id FROM item ORDER BY id");
				ResultSet down = two.executeQuery("SELECT tenant, id FROM item ORDER BY id DESC");
				for (int n = 1; n <= 100; n++) {
					same(up.next() && down.next(), true);
					same(up.getString(1) + down.getString(1), OWN + OWN);
					same(up.getInt(2) + down.getInt(2), ITEMS + 1);
				}
				connection.rollback();
			}
		});
		steps.put("cursor/scrollable", () -> {
			try (Connection connection = connect(OWN); Statement statement = connection.createStatement(
					ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY, ResultSet.HOLD_CURSORS_OVER_COMMIT)) {
				ResultSet rows = statement.executeQuery("SELECT tenant, id FROM item ORDER BY id");
				same(rows.absolute(500), true);
				same(rows.getString(1) + rows.getInt(2), OWN + 500);
			}
		});
		steps.put("copy/out", () -> {
			try (Connection connection = connect(OWN)) {
				CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
				StringWriter text = new StringWriter();
				same(manager.copyOut("COPY (SELECT tenant, id FROM item) TO STDOUT (FORMAT csv)", text), (long) ITEMS);
				for (String line : text.toString().split("\n"))
					same(line.split(",")[0], OWN);
				CopyOut out = manager.copyOut("COPY item (tenant) TO STDOUT (FORMAT binary)");
				while (out.readFromCopy() != null)
					;
				same(out.getHandledRowCount(), (long) ITEMS);
				three(connection, OWN);
			}
		});
		steps.put("copy/in", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				execute(connection, "CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP");
				StringBuilder lines = new StringBuilder();
				for (int n = 0; n < 3000; n++)
					lines.append(3000 + n).append("\tcopy\n");
				CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
				same(manager.copyIn("COPY incoming FROM STDIN", new StringReader(lines.toString())), 3000L);
				execute(connection, "INSERT INTO note (tenant, run, amount, body) SELECT '" + OWN + "', '" + RUN
					+ "', amount, body FROM incoming");
				same(notes(connection, "copy"), range(3000, 5999));
				raises("22P02", () -> manager.copyIn("COPY incoming FROM STDIN", new StringReader("no number\tx\n")));
				connection.rollback();
				three(connection, OWN);
				connection.rollback();
			}
		});
	}

	static void cancelling() {
		steps.put("cancel/statement", () -> {
			try (Connection connection = connect(OWN); Statement statement = connection.createStatement()) {
				for (int turn = 0; turn < 2; turn++) {
					Thread canceller = new Thread(() -> {
						try {
							Thread.sleep(400);
							statement.cancel();
						} catch (Exception ignored) {
						}
					});
					canceller.start();
					raises("57014", () -> statement.execute("SELECT pg_sleep(30)"));
					canceller.join();
					three(connection, OWN);
				}
			}
		});
		steps.put("cancel/query-timeout", () -> {
			try (Connection connection = connect(OWN); Statement statement = connection.createStatement()) {
				statement.setQueryTimeout(1);
				raises("57014", () -> statement.execute("SELECT pg_sleep(30)"));
				three(connection, OWN);
			}
		});
	}

	static void session() {
		steps.put("settings/kept-while-idle", () -> {
			String[] zones = {"Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo"};
			Connection[] connections = new Connection[4];
			for (int i = 0; i < 4; i++) {
				connections[i] = connect(FOUR[i]);
				execute(connections[i], "SET TimeZone = '" + zones[i] + "'");
				connections[i].setClientInfo("ApplicationName", "jdbc " + i);
			}
			for (int turn = 0; turn < 3; turn++)
				for (int i = 0; i < 4; i++) {
					same(value(connections[i], "SHOW TimeZone"), zones[i]);
					same(value(connections[i], "SHOW application_name"), "jdbc " + i);
					three(connections[i], FOUR[i]);
				}
			for (Connection connection : connections)
				connection.close();
		});
		steps.put("settings/schema", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setSchema("pg_catalog");
				same(connection.getSchema(), "pg_catalog");
				raises("42P01", () -> three(connection, OWN));
				connection.setSchema("public");
				three(connection, OWN);
			}
		});
		steps.put("settings/transaction", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				execute(connection, "SET LOCAL work_mem = '1MB'");
				same(value(connection, "SHOW work_mem"), "1MB");
				connection.commit();
				execute(connection, "SET work_mem = '2MB'");
				connection.rollback();
				same(value(connection, "SHOW work_mem"), "4MB");
				connection.rollback();
			}
		});
		steps.put("session/temporary-table", () -> {
			for (String tenant : new String[] {OWN, OTHER})
				try (Connection connection = connect(tenant)) {
					execute(connection, "CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6");
					Thread.sleep(20);
					try (Statement statement = connection.createStatement()) {
						same(own(statement.executeQuery("SELECT * FROM mine ORDER BY id"), tenant), range(1, 5));
					}
					execute(connection, "DROP TABLE mine");
				}
		});
		steps.put("reset/discard-all", () -> {
			try (Connection connection = connect(OWN, "prepareThreshold", "1")) {
				execute(connection, "SET work_mem = '1MB'");
				execute(connection, "DISCARD ALL");
				same(value(connection, "SHOW work_mem"), "4MB");
				execute(connection, "RESET ALL");
				three(connection, OWN);
			}
		});
		steps.put("reconnect/pool", () -> {
			PGConnectionPoolDataSource source = new PGConnectionPoolDataSource();
			source.setUrl("jdbc:postgresql://" + System.getenv("CLIENT_HOST") + ":" + System.getenv("CLIENT_PORT") + "/"
				+ System.getenv("CLIENT_DATABASE"));
			javax.sql.PooledConnection pooled = source.getPooledConnection(user(OWN), PASSWORD);
			for (int turn = 0; turn < 6; turn++)
				try (Connection connection = pooled.getConnection()) {
					connection.setAutoCommit(false);
					three(connection, OWN);
				}
			pooled.close();
		});
		steps.put("reconnect/ended-by-server", () -> {
			try (Connection connection = connect(OWN)) {
				connection.setAutoCommit(false);
				execute(connection, "SET LOCAL idle_in_transaction_session_timeout = 100");
				Thread.sleep(500);
				try {
					three(connection, OWN);
					throw new AssertionError("no error");
				} catch (SQLException error) {
					same(Set.of("25P03", "08006").contains(error.getSQLState()), true);
				}
				same(connection.isValid(2), false);
			}
			try (Connection connection = connect(OWN)) {
				three(connection, OWN);
			}
		});
		steps.put("reconnect/many", () -> {
			for (int turn = 0; turn < 12; turn++)
				try (Connection connection = connect(FOUR[turn % 4])) {
					three(connection, FOUR[turn % 4]);
				}
		});
	}

	public static void main(String[] only) {
		System.out.println("version " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
		connecting();
		transactions();
		prepared();
		batches();
		cursorsAndCopy();
		cancelling();
		session();
		boolean failed = false;
		for (Map.Entry<String, Action> step : steps.entrySet()) {
			boolean wanted = only.length == 0;
			for (String start : only)
				wanted |= step.getKey().startsWith(start);
			if (!wanted)
				continue;
			try {
				step.getValue().run();
				System.out.println("ok " + step.getKey());
			} catch (Throwable error) {
				failed = true;
				System.out.println("FAIL " + step.getKey() + ": " + error.toString().replaceAll("\\s+", " "));
			}
		}
		System.exit(failed ? 1 : 0);
	}
}
