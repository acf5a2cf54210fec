/* pgjdbc: every sslmode; see turns.py. Keys are PKCS #8 in DER, as it wants them. */

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.postgresql.Driver;

public class JdbcTls {
	static final Map<String, String> NAMES = Map.of("mode", "sslmode", "ca", "sslrootcert", "cert", "sslcert",
		"key", "sslkey", "user", "user", "password", "password");

	static Connection connect(Map<String, String> options) throws Exception {
		Properties properties = new Properties();
		properties.setProperty("gssEncMode", "disable");
		properties.setProperty("sslcert", "/nowhere"); // in place of what is in the home directory
		for (Map.Entry<String, String> option : options.entrySet())
			if (NAMES.containsKey(option.getKey()))
				properties.setProperty(NAMES.get(option.getKey()), option.getValue());
		return DriverManager.getConnection("jdbc:postgresql://" + options.get("host") + ":" + options.get("port") + "/"
			+ options.get("database"), properties);
	}

	static String count(Connection connection) throws Exception {
		try (Statement statement = connection.createStatement();
			ResultSet rows = statement.executeQuery("SELECT count(*) FROM orders")) {
			rows.next();
			return rows.getString(1);
		}
	}

	static final Logger log = Logger.getLogger("org.postgresql"); // kept, or its level is forgotten

	public static void main(String[] arguments) throws Exception {
		log.setLevel(Level.OFF); // what is refused is said in the exception too
		System.out.println("version " + Driver.getVersion().replaceAll("[^0-9.]", ""));
		BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
		for (String line = input.readLine(); line != null; line = input.readLine()) {
			Map<String, String> options = new HashMap<>();
			for (String part : line.split("\t"))
				options.put(part.split("=", 2)[0], part.split("=", 2)[1]);
			try (Connection connection = connect(options)) {
				System.out.println("in " + count(connection));
				input.readLine();
			} catch (Exception error) {
				System.out.println("out " + String.valueOf(error.getMessage()).replaceAll("\\s+", " "));
				continue;
			}
			System.out.println("closed");
		}
	}
}
