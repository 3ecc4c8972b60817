package peers;

import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * The queries as Flink SQL on a cluster in this process.
 *
 * <p>Arguments: bootstrap servers, query, sink topic, state folder, parallelism. Exactly once with a checkpoint a
 * second, state on the heap, two-phase aggregation in mini batches, which Flink's own tuning guide advises.
 */
public final class FlinkPeer {
    private static final String BID_COLUMNS =
        "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time BIGINT, extra STRING";

    private FlinkPeer() {}

    public static void main(String[] args) throws Exception {
        String servers = args[0];
        String query = args[1];
        String sink = args[2];
        Configuration config = new Configuration();
        config.setString("parallelism.default", args[4]);
        config.setString("execution.checkpointing.interval", "1 s");
        config.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        config.setString("execution.checkpointing.dir", "file://" + args[3]);
        config.setString("execution.checkpointing.storage", "filesystem");
        config.setString("table.exec.mini-batch.enabled", "true");
        config.setString("table.exec.mini-batch.allow-latency", "100 ms");
        config.setString("table.exec.mini-batch.size", "5000");
        config.setString("table.exec.source.idle-timeout", "1 s");
        config.setString("taskmanager.memory.network.max", "64mb");
        config.setString("taskmanager.memory.network.min", "64mb");
        TableEnvironment tables = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(config).build());
        tables.executeSql(source("bid", BID_COLUMNS, servers, sink));
        tables.executeSql(source("auction",
            "id BIGINT, item STRING, seller BIGINT, category BIGINT, date_time BIGINT, extra STRING", servers, sink));
        tables.executeSql("""
            CREATE TABLE person (id BIGINT, name STRING, city STRING, state STRING, date_time BIGINT,
              rt AS TO_TIMESTAMP_LTZ(date_time, 3), WATERMARK FOR rt AS rt, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'upsert-kafka', 'topic' = 'person', 'properties.bootstrap.servers' = '%s',
              'key.format' = 'raw', 'value.format' = 'json', 'value.fields-include' = 'ALL')""".formatted(servers));
        String columns = switch (query) {
            case "q0" -> BID_COLUMNS;
            case "q1" -> BID_COLUMNS.replace("price BIGINT", "price DOUBLE");
            case "q2" -> "auction BIGINT, price BIGINT";
            case "tumbling", "hopping" -> "auction BIGINT, window_start BIGINT, bids BIGINT";
            case "q12" -> "bidder BIGINT, window_start BIGINT, bids BIGINT";
            case "q3" -> "id BIGINT, seller BIGINT, name STRING, city STRING, state STRING";
            case "q17" -> "auction BIGINT, `day` BIGINT, bids BIGINT, min_price BIGINT, max_price BIGINT, sum_price BIGINT, "
                + "PRIMARY KEY (auction, `day`) NOT ENFORCED";
            default -> throw new IllegalArgumentException("unknown query " + query);
        };
        tables.executeSql(sink(columns, servers, sink, query.equals("q17")));
        tables.executeSql("INSERT INTO sink " + select(query)).await();
    }

    private static String select(String query) {
        String window = """
            SELECT %1$s, 1000 * UNIX_TIMESTAMP(CAST(window_start AS STRING)), COUNT(*)
            FROM TABLE(%2$s) GROUP BY %1$s, window_start, window_end""";
        return switch (query) {
            case "q0" -> "SELECT auction, bidder, price, channel, url, date_time, extra FROM bid";
            case "q1" -> "SELECT auction, bidder, CAST(0.908 AS DOUBLE) * price, channel, url, date_time, extra FROM bid";
            case "q2" -> "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0";
            case "tumbling" -> window.formatted("auction", "TUMBLE(TABLE bid, DESCRIPTOR(rt), INTERVAL '10' SECOND)");
            case "q12" -> window.formatted("bidder", "TUMBLE(TABLE bid, DESCRIPTOR(rt), INTERVAL '10' SECOND)");
            case "hopping" -> window.formatted("auction",
                "HOP(TABLE bid, DESCRIPTOR(rt), INTERVAL '2' SECOND, INTERVAL '10' SECOND)");
            case "q3" -> """
                SELECT a.id, a.seller, p.name, p.city, p.state FROM auction a
                JOIN person FOR SYSTEM_TIME AS OF a.rt AS p ON a.seller = p.id
                WHERE a.category = 10 AND (p.state = 'OR' OR p.state = 'ID' OR p.state = 'CA')""";
            case "q17" -> """
                SELECT auction, date_time / 86400000, COUNT(*), MIN(price), MAX(price), SUM(price)
                FROM bid GROUP BY auction, date_time / 86400000""";
            default -> throw new IllegalArgumentException("unknown query " + query);
        };
    }

    private static String source(String topic, String columns, String servers, String group) {
        return """
            CREATE TABLE %s (%s, rt AS TO_TIMESTAMP_LTZ(date_time, 3), WATERMARK FOR rt AS rt)
            WITH ('connector' = 'kafka', 'topic' = '%s', 'properties.bootstrap.servers' = '%s',
              'properties.group.id' = 'flink-%s', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json')"""
            .formatted(topic, columns, topic, servers, group);
    }

    private static String sink(String columns, String servers, String topic, boolean upserts) {
        Map<Boolean, String> connector = Map.of(
            true, "'connector' = 'upsert-kafka', 'key.format' = 'json', 'value.format' = 'json'",
            false, "'connector' = 'kafka', 'format' = 'json'");
        return """
            CREATE TABLE sink (%s) WITH (%s, 'topic' = '%s', 'properties.bootstrap.servers' = '%s',
              'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'flink-%s',
              'properties.transaction.timeout.ms' = '60000', 'properties.compression.type' = 'lz4')"""
            .formatted(columns, connector.get(upserts), topic, servers, topic);
    }
}
