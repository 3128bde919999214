/** JDBC: statements prepared by the driver and by the server, batches, row limits by portals, COPY, large objects, cancelling. */
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

public class JdbcClient {
    static final String COLUMNS = "select id, ssn, card, note, extra, tags, nums, raw, born, price from people";

    interface Act {
        void run() throws Exception;
    }

    static void say(String name, Object value) {
        System.out.println(name + ": " + value);
    }

    static String rows(ResultSet set) throws SQLException {
        StringBuilder text = new StringBuilder();
        int count = set.getMetaData().getColumnCount();
        while (set.next()) {
            text.append('[');
            for (int column = 1; column <= count; column++) {
                Object value = set.getObject(column);
                if (value instanceof byte[]) value = new String((byte[]) value);
                text.append(column == 1 ? "" : ", ").append(value instanceof String ? "\"" + value + "\"" : value);
            }
            text.append(']');
        }
        return text.toString();
    }

    static void denied(String name, Act act) throws Exception {
        try {
            act.run();
            say("denied " + name, "none");
        } catch (SQLException error) {
            say("denied " + name, error.getSQLState());
        }
    }

    static Connection open(String... more) throws SQLException {
        Properties options = new Properties();
        options.setProperty("user", System.getenv("PGUSER"));
        options.setProperty("password", System.getenv("PGPASSWORD"));
        options.setProperty("sslmode", System.getenv("PGSSLMODE"));
        for (int at = 0; at < more.length; at += 2) options.setProperty(more[at], more[at + 1]);
        return DriverManager.getConnection(
            "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"),
            options);
    }

    static void ask(String mode, Connection connection) throws Exception {
        Statement statement = connection.createStatement();
        say(mode + ", statement", rows(statement.executeQuery(COLUMNS + " order by id")));
        PreparedStatement prepared = connection.prepareStatement(COLUMNS + " where id >= ? order by id");
        // By the fifth time the driver has the server prepare it, and asks for binary values.
        for (int time = 0; time < 8; time++) {
            prepared.setInt(1, 1 + time % 2);
            say(mode + ", prepared " + time, rows(prepared.executeQuery()));
        }
        connection.setAutoCommit(false);
        PreparedStatement limited = connection.prepareStatement(COLUMNS + " order by id");
        limited.setFetchSize(1);
        for (int time = 0; time < 7; time++) say(mode + ", limited " + time, rows(limited.executeQuery()));
        connection.commit();
        connection.setAutoCommit(true);
        statement.execute("create temp table copied (id int, name text)");
        PreparedStatement batch = connection.prepareStatement("insert into copied values (?, ?)");
        for (int n = 0; n < 100; n++) {
            batch.setInt(1, n);
            batch.setString(2, "n" + n);
            batch.addBatch();
        }
        say(mode + ", batch", batch.executeBatch().length);
        say(mode + ", counted", rows(statement.executeQuery("select count(*) from copied")));
        say(mode + ", returned", rows(statement.executeQuery("insert into copied values (1000, 'x') returning id, name")));
        for (int time = 0; time < 2; time++) {
            denied(mode + ", statement " + time, () -> statement.execute("truncate spare"));
            PreparedStatement truncate = connection.prepareStatement("truncate only spare");
            for (int again = 0; again < 7; again++) denied(mode + ", prepared " + time + again, () -> truncate.execute());
            say(mode + ", after " + time, rows(statement.executeQuery("select 40 + 2")));
        }
        Statement several = connection.createStatement();
        several.addBatch("insert into copied values (2000, 'y')");
        several.addBatch("truncate spare");
        denied(mode + ", in a batch", () -> several.executeBatch());
        connection.setAutoCommit(false);
        statement.execute("insert into copied values (3000, 'z')");
        denied(mode + ", in a transaction", () -> statement.execute("truncate spare"));
        // With savepoints of the driver's own the transaction goes on.
        if (!mode.equals("autosave")) denied(mode + ", behind it", () -> statement.execute("select 1"));
        connection.rollback();
        connection.setAutoCommit(true);
        say(mode + ", rolled back", rows(statement.executeQuery("select count(*) from copied where id = 3000")));
        try {
            statement.executeQuery("select 1 / 0");
        } catch (SQLException error) {
            say(mode + ", error", error.getSQLState() + " " + error.getMessage());
        }
        say(mode + ", columns", rows(connection.getMetaData().getPrimaryKeys(null, "public", "people")));
        String asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and pid = "
            + connection.unwrap(PGConnection.class).getBackendPID();
        new Thread(() -> {
            try (Connection watcher = open()) {
                Statement looking = watcher.createStatement();
                // What comes before the server has begun it cancels nothing.
                while (!looking.executeQuery(asleep).next()) Thread.sleep(20);
                statement.cancel();
            } catch (Exception error) {
                say("cancel", error);
            }
        }).start();
        try {
            statement.execute("select pg_sleep(600)");
        } catch (SQLException error) {
            say(mode + ", cancelled", error.getSQLState());
        }
        say(mode + ", usable", rows(statement.executeQuery("select 1")));
    }

    public static void main(String[] arguments) throws Exception {
        say("version", org.postgresql.Driver.getVersion());
        try (Connection connection = open()) {
            ask("extended", connection);
            PGConnection own = connection.unwrap(PGConnection.class);
            CopyManager copies = own.getCopyAPI();
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            say("copy out", copies.copyOut("copy people (id, ssn, note) to stdout", out));
            say("copied", out.toString().replace("\n", "|"));
            say("copy in", copies.copyIn("copy copied from stdin", new ByteArrayInputStream("7\tseven\n".getBytes())));
            Statement statement = connection.createStatement();
            statement.execute("listen news");
            statement.execute("notify news, 'a payload'");
            say("notified", own.getNotifications(60_000)[0].getParameter());
            connection.setAutoCommit(false);
            LargeObjectManager objects = own.getLargeObjectAPI();
            long id = objects.createLO(LargeObjectManager.READWRITE);
            LargeObject object = objects.open(id, LargeObjectManager.READWRITE);
            object.write(new byte[300_000]);
            object.seek(0);
            say("large object", object.read(1_000_000).length);
            object.close();
            objects.delete(id);
            connection.commit();
        }
        try (Connection connection = open("preferQueryMode", "simple")) {
            ask("simple", connection);
        }
        try (Connection connection = open("binaryTransfer", "true", "prepareThreshold", "-1")) {
            ask("binary at once", connection);
        }
        try (Connection connection = open("preferQueryMode", "extendedForPrepared", "autosave", "always")) {
            ask("autosave", connection);
        }
    }
}
