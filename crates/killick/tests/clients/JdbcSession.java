// JDBC: prepared statements, batches, fetch sizes, savepoints, COPY, LISTEN. Prints the same with and without a gateway.
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.net.URI;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PSQLException;

public final class JdbcSession {
    interface Run {
        void run() throws Exception;
    }

    static void print(Object... all) {
        StringBuilder line = new StringBuilder();
        for (Object it : all) {
            line.append(it instanceof Object[] ? Arrays.toString((Object[]) it) : String.valueOf(it)).append(' ');
        }
        System.out.println(line.toString().trim());
    }

    static void fails(Run run) throws Exception {
        try {
            run.run();
            print("no error");
        } catch (PSQLException error) {
            print(error.getSQLState(), error.getServerErrorMessage().getMessage());
        }
    }

    static Connection connect(String... more) throws SQLException {
        URI uri = URI.create(System.getenv("DATABASE_URL"));
        String[] login = uri.getUserInfo().split(":");
        Properties properties = new Properties();
        properties.setProperty("user", login[0]);
        properties.setProperty("password", login[1]);
        for (int at = 0; at < more.length; at += 2) {
            properties.setProperty(more[at], more[at + 1]);
        }
        String url = "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath() + "?" + uri.getQuery();
        return DriverManager.getConnection(url, properties);
    }

    static void types(Connection conn, boolean simple) throws Exception {
        try (Statement statement = conn.createStatement()) {
            statement.execute("CREATE TABLE j_kinds (id bigint PRIMARY KEY, name text, price numeric, good boolean, at timestamptz, "
                + "tag uuid, raw bytea, numbers int[], doc jsonb, real8 float8)");
        }
        try (PreparedStatement insert = conn.prepareStatement("INSERT INTO j_kinds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?)")) {
            for (long id = 1; id <= 30; id++) {
                insert.setLong(1, id);
                insert.setString(2, "ünï " + id);
                insert.setBigDecimal(3, new BigDecimal("12.50").multiply(BigDecimal.valueOf(id)));
                insert.setBoolean(4, id % 2 == 0);
                insert.setObject(5, OffsetDateTime.parse("2024-05-01T12:30:01.5Z"));
                insert.setObject(6, new UUID(0, id));
                if (simple) {
                    // The driver writes no bytes into a text.
                    insert.setNull(7, Types.BINARY);
                } else {
                    insert.setBytes(7, new byte[] {0, -1, (byte) id});
                }
                insert.setArray(8, conn.createArrayOf("int4", new Integer[] {1, null, (int) id}));
                insert.setString(9, "{\"k\": [1]}");
                if (id == 7) {
                    insert.setNull(10, Types.DOUBLE);
                } else {
                    insert.setDouble(10, id / 4.0);
                }
                insert.addBatch();
            }
            print(Arrays.stream(insert.executeBatch()).sum());
        }
        // Past the fifth time the driver names its statement and asks for binary values.
        try (PreparedStatement select = conn.prepareStatement("SELECT * FROM j_kinds WHERE id = ?")) {
            for (long id = 1; id <= 8; id++) {
                select.setLong(1, id);
                try (ResultSet rows = select.executeQuery()) {
                    rows.next();
                    Array numbers = rows.getArray(8);
                    print(rows.getLong(1), rows.getString(2), rows.getBigDecimal(3), rows.getBoolean(4),
                        rows.getObject(5, OffsetDateTime.class), rows.getObject(6), Arrays.toString(rows.getBytes(7)),
                        (Object[]) numbers.getArray(), rows.getString(9), rows.getObject(10));
                }
            }
            print(select.getMetaData().getColumnCount(), select.getParameterMetaData().getParameterTypeName(1));
        }
        try (PreparedStatement keys = conn.prepareStatement("INSERT INTO j_kinds (id) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            keys.setLong(1, 100);
            keys.executeUpdate();
            ResultSet made = keys.getGeneratedKeys();
            made.next();
            print(made.getLong(1));
        }
        try (Statement several = conn.createStatement()) {
            boolean rows = several.execute("SELECT 1; UPDATE j_kinds SET name = 'x' WHERE id = 100; SELECT 'two'");
            print(rows, several.getMoreResults(), several.getUpdateCount(), several.getMoreResults());
        }
    }

    static void transactions(Connection conn) throws Exception {
        conn.setAutoCommit(false);
        try (Statement statement = conn.createStatement()) {
            statement.executeUpdate("INSERT INTO j_kinds (id) VALUES (200)");
            Savepoint here = conn.setSavepoint("here");
            fails(() -> statement.executeUpdate("INSERT INTO j_kinds (id) VALUES (200)"));
            fails(() -> statement.executeQuery("SELECT 1"));
            conn.rollback(here);
            statement.executeUpdate("INSERT INTO j_kinds (id) VALUES (201)");
            conn.commit();
            conn.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            conn.setReadOnly(true);
            fails(() -> statement.executeUpdate("INSERT INTO j_kinds (id) VALUES (202)"));
            conn.rollback();
            conn.setReadOnly(false);
            conn.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            statement.executeUpdate("DELETE FROM j_kinds WHERE id = 200");
            conn.rollback();
            try (ResultSet rows = statement.executeQuery("SELECT count(*) FROM j_kinds")) {
                rows.next();
                print(rows.getInt(1));
            }
            conn.commit();
        }
        conn.setAutoCommit(true);
    }

    static void cursors(Connection conn) throws Exception {
        conn.setAutoCommit(false);
        int total = 0;
        try (PreparedStatement select = conn.prepareStatement("SELECT g FROM generate_series(1, 1000) g")) {
            select.setFetchSize(64);
            try (ResultSet rows = select.executeQuery(); PreparedStatement between = conn.prepareStatement("UPDATE j_kinds SET name = ? WHERE id = 1")) {
                while (rows.next()) {
                    total += rows.getInt(1);
                    if (rows.getInt(1) % 100 == 0) {
                        between.setString(1, "at " + rows.getInt(1));
                        between.executeUpdate();
                    }
                }
            }
        }
        print(total);
        // A function of one's own: the server is told to refuse writes while its rows are fetched.
        total = 0;
        try (PreparedStatement select = conn.prepareStatement("SELECT twice(g) FROM generate_series(1, 500) g")) {
            select.setFetchSize(50);
            try (ResultSet rows = select.executeQuery()) {
                while (rows.next()) {
                    total += rows.getInt(1);
                }
            }
        }
        print(total);
        conn.commit();
        try (PreparedStatement change = conn.prepareStatement("UPDATE j_kinds SET name = 'cursor' WHERE id IN (1, 2, 3) RETURNING id")) {
            change.setFetchSize(1);
            try (ResultSet rows = change.executeQuery()) {
                rows.next();
                print(rows.getLong(1));
            }
        }
        conn.commit();
        conn.setAutoCommit(true);
        try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery("SELECT count(*) FROM j_kinds WHERE name = 'cursor'")) {
            rows.next();
            print(rows.getInt(1));
        }
    }

    static void copies(Connection conn) throws Exception {
        try (Statement statement = conn.createStatement()) {
            statement.execute("CREATE TABLE j_heap (id int, body text)");
            StringBuilder lines = new StringBuilder();
            for (int n = 0; n < 3000; n++) {
                lines.append(n).append(",line ").append(n).append('\n');
            }
            var copies = conn.unwrap(PGConnection.class).getCopyAPI();
            print(copies.copyIn("COPY j_heap FROM STDIN (FORMAT csv)", new StringReader(lines.toString())));
            StringWriter out = new StringWriter();
            print(copies.copyOut("COPY (SELECT * FROM j_heap ORDER BY id) TO STDOUT (FORMAT csv)", out), out.toString().equals(lines.toString()));
            fails(() -> copies.copyIn("COPY j_heap FROM STDIN (FORMAT csv)", new StringReader("1,x\nwhat,y\n")));
            statement.execute("DROP TABLE j_heap");
        }
    }

    static void notifications(Connection conn) throws Exception {
        try (Statement statement = conn.createStatement(); Connection other = connect(); Statement says = other.createStatement()) {
            statement.execute("LISTEN j_news");
            says.execute("NOTIFY j_news, 'hello'");
            PGNotification[] heard = conn.unwrap(PGConnection.class).getNotifications(10_000);
            print(heard.length, heard[0].getName(), heard[0].getParameter());
            statement.execute("CREATE TABLE IF NOT EXISTS j_kinds (id int)");
            print(statement.getWarnings().getMessage());
        }
    }

    static void cancelling(Connection conn) throws Exception {
        try (Statement statement = conn.createStatement()) {
            statement.setQueryTimeout(1);
            fails(() -> statement.execute("SELECT pg_sleep(60)"));
            statement.setQueryTimeout(0);
            try (ResultSet rows = statement.executeQuery("SELECT 'usable'")) {
                rows.next();
                print(rows.getString(1));
            }
        }
    }

    static void metadata(Connection conn) throws Exception {
        DatabaseMetaData meta = conn.getMetaData();
        print(meta.getDatabaseProductName(), meta.getDatabaseMajorVersion());
        try (ResultSet rows = meta.getColumns(null, "public", "j_kinds", null)) {
            while (rows.next()) {
                print(rows.getString("COLUMN_NAME"), rows.getString("TYPE_NAME"), rows.getString("IS_NULLABLE"));
            }
        }
        try (ResultSet rows = meta.getPrimaryKeys(null, "public", "j_kinds")) {
            rows.next();
            print(rows.getString("COLUMN_NAME"));
        }
    }

    static void large(Connection conn) throws Exception {
        conn.setAutoCommit(false);
        long rows = 0;
        long length = 0;
        try (Statement statement = conn.createStatement()) {
            statement.setFetchSize(2000);
            try (ResultSet found = statement.executeQuery("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")) {
                while (found.next()) {
                    rows++;
                    length += found.getString(1).length();
                }
            }
        }
        print(rows, length);
        conn.commit();
        conn.setAutoCommit(true);
    }

    static void refused() throws Exception {
        for (String mode : new String[] {"simple", "extended"}) {
            try (Connection conn = connect("preferQueryMode", mode); Statement statement = conn.createStatement()) {
                for (String text : new String[] {"DROP TABLE kept", "TRUNCATE kept", "DELETE FROM kept"}) {
                    try {
                        statement.execute(text);
                        print("PASSED", text);
                    } catch (PSQLException error) {
                        print(mode, text, error.getSQLState(), error.getServerErrorMessage().getHint() != null);
                    }
                    try (ResultSet rows = statement.executeQuery("SELECT count(*) FROM kept")) {
                        rows.next();
                        print(rows.getInt(1));
                    }
                }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length > 0) {
            refused();
            return;
        }
        for (String mode : new String[] {"extended", "simple"}) {
            print("==", mode);
            try (Connection conn = connect("preferQueryMode", mode)) {
                types(conn, mode.equals("simple"));
                transactions(conn);
                if (mode.equals("extended")) {
                    cursors(conn);
                    large(conn);
                }
                copies(conn);
                notifications(conn);
                cancelling(conn);
                metadata(conn);
                try (Statement statement = conn.createStatement()) {
                    statement.execute("DROP TABLE j_kinds");
                }
            }
        }
    }
}
