package peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.StringJoiner;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Makes a sink topic, waits until a program has filled it, and compares what is there with a recomputation.
 *
 * <p>Arguments: bootstrap servers, partitions, number of events, seed, events per second of event time, query, sink
 * topic, seconds of silence that mean the end. The sink takes the time of each append from the broker. Prints
 * {@code ready}, then a line {@code progress END_OFFSETS} each fifth of a second, and at last one JSON object:
 * {@code equal}, {@code records}, {@code first_ms}, {@code last_ms}, {@code detail}. Records of aborted transactions do
 * not count; of groups and windows the last row does.
 */
public final class Check {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long START_LIMIT_MS = 120_000;

    /** A multiset of rows, or the last row of each group. */
    private static final class Answer {
        private final int groupColumns;
        private final Map<String, String> groups = new HashMap<>();
        private long rows;
        private long sum;

        /** Rows whose first columns name their group; 0: rows without groups. */
        Answer(int groupColumns) {
            this.groupColumns = groupColumns;
        }

        void add(Object... values) {
            StringJoiner group = new StringJoiner("|");
            StringJoiner row = new StringJoiner("|");
            for (int i = 0; i < values.length; i++) {
                (i < groupColumns ? group : row).add(String.valueOf(values[i]));
            }
            if (groupColumns > 0) {
                groups.put(group.toString(), row.toString());
            } else {
                rows++;
                sum += mix(row.toString());
            }
        }

        String differs(Answer other) {
            if (groupColumns == 0) {
                return rows == other.rows && sum == other.sum ? null : "rows " + rows + ", expected " + other.rows;
            }
            for (Map.Entry<String, String> entry : other.groups.entrySet()) {
                String mine = groups.get(entry.getKey());
                if (!entry.getValue().equals(mine)) {
                    return "group " + entry.getKey() + ": " + mine + ", expected " + entry.getValue();
                }
            }
            return groups.size() == other.groups.size() ? null : "groups " + groups.size() + ", expected " + other.groups.size();
        }

        /** 64 bits of FNV-1a, finished so that sums of them tell multisets apart. */
        private static long mix(String text) {
            long hash = 0xcbf29ce484222325L;
            for (int i = 0; i < text.length(); i++) {
                hash = (hash ^ text.charAt(i)) * 0x100000001b3L;
            }
            hash = (hash ^ (hash >>> 31)) * 0x9e3779b97f4a7c15L;
            return hash ^ (hash >>> 29);
        }
    }

    private final String servers;
    private final int partitions;
    private final String query;
    private final String sink;

    private Check(String servers, int partitions, String query, String sink) {
        this.servers = servers;
        this.partitions = partitions;
        this.query = query;
        this.sink = sink;
    }

    public static void main(String[] args) throws Exception {
        Check check = new Check(args[0], Integer.parseInt(args[1]), args[5], args[6]);
        Events events = new Events(Long.parseLong(args[3]), Long.parseLong(args[2]), Long.parseLong(args[4]));
        check.create();
        Answer expected = check.expected(events);
        System.out.println("ready");
        check.await(Long.parseLong(args[7]) * 1000);
        System.out.println(JSON.writeValueAsString(check.compare(expected)));
    }

    private void create() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            NewTopic topic = new NewTopic(sink, partitions, (short) 1)
                .configs(Map.of("message.timestamp.type", "LogAppendTime", "retention.ms", "-1"));
            admin.createTopics(List.of(topic)).all().get();
        }
    }

    private Answer expected(Events events) {
        Answer answer = answer();
        Map<Long, Events.Event> persons = new HashMap<>();
        Map<String, long[]> totals = new HashMap<>();
        List<Events.Event> closing = new ArrayList<>(List.of(Events.closing()));
        for (Events.Event event = events.next(); event != null; event = events.next()) {
            take(event, answer, persons, totals);
        }
        for (int partition = 0; partition < partitions; partition++) {
            for (Events.Event event : closing) {
                take(event, answer, persons, totals);
            }
        }
        totals.forEach((group, total) -> {
            String[] parts = group.split("\\|");
            if (query.equals("q17")) {
                answer.add(parts[0], parts[1], total[0], total[1], total[2], total[3]);
            } else {
                answer.add(parts[0], parts[1], total[0]);
            }
        });
        return answer;
    }

    private Answer answer() {
        return new Answer(switch (query) {
            case "q0", "q1", "q2", "q3" -> 0;
            default -> 2;
        });
    }

    private void take(Events.Event event, Answer answer, Map<Long, Events.Event> persons, Map<String, long[]> totals) {
        switch (event.kind) {
            case PERSON -> persons.put(event.id, event);
            case AUCTION -> {
                Events.Event person = persons.get(event.seller);
                boolean isLocal = event.category == 10 && person != null
                    && (person.state.equals("OR") || person.state.equals("ID") || person.state.equals("CA"));
                // The closing events may meet in any order.
                if (query.equals("q3") && isLocal && event.id != 0) {
                    answer.add(event.id, event.seller, person.name, person.city, person.state);
                }
            }
            case BID -> {
                switch (query) {
                    case "q0" -> answer.add(event.auction, event.bidder, event.price, event.channel, event.url, event.timeMs, event.extra);
                    case "q1" -> answer.add(event.auction, event.bidder, 0.908 * event.price, event.channel, event.url, event.timeMs, event.extra);
                    case "q2" -> {
                        if (event.auction % 123 == 0) {
                            answer.add(event.auction, event.price);
                        }
                    }
                    case "tumbling" -> count(totals, event.auction, event, 10_000);
                    case "hopping" -> count(totals, event.auction, event, 2_000);
                    case "q12" -> count(totals, event.bidder, event, 10_000);
                    case "q17" -> {
                        long[] total = totals.computeIfAbsent(event.auction + "|" + event.timeMs / 86_400_000,
                            group -> new long[] {0, Long.MAX_VALUE, Long.MIN_VALUE, 0});
                        total[0]++;
                        total[1] = Math.min(total[1], event.price);
                        total[2] = Math.max(total[2], event.price);
                        total[3] += event.price;
                    }
                    default -> { }
                }
            }
        }
    }

    /** Counts in the windows of 10 s of each hop; those of the closing events stay open. */
    private static void count(Map<String, long[]> totals, long key, Events.Event event, long hopMs) {
        if (event.timeMs == Events.CLOSING_MS) {
            return;
        }
        for (long start = event.timeMs / hopMs * hopMs; start > event.timeMs - 10_000; start -= hopMs) {
            totals.computeIfAbsent(key + "|" + start, group -> new long[1])[0]++;
        }
    }

    /** Returns when the ends of the sink have not moved for a while. */
    private void await(long silenceMs) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            long begun = System.currentTimeMillis();
            long seen = 0;
            long changed = begun;
            while (true) {
                long ends = consumer.endOffsets(sinks()).values().stream().mapToLong(Long::longValue).sum();
                long now = System.currentTimeMillis();
                if (ends != seen) {
                    seen = ends;
                    changed = now;
                }
                System.out.println("progress " + ends);
                if (now - changed > (seen == 0 ? START_LIMIT_MS : silenceMs)) {
                    return;
                }
                Thread.sleep(200);
            }
        }
    }

    private ObjectNode compare(Answer expected) throws Exception {
        Answer answer = answer();
        long records = 0;
        long firstMs = Long.MAX_VALUE;
        long lastMs = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> partitions = sinks();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    records++;
                    firstMs = Math.min(firstMs, record.timestamp());
                    lastMs = Math.max(lastMs, record.timestamp());
                    add(answer, JSON.readTree(record.value()));
                }
            }
        }
        String detail = answer.differs(expected);
        ObjectNode result = JsonNodeFactory.instance.objectNode();
        result.put("equal", detail == null);
        result.put("records", records);
        result.put("first_ms", firstMs);
        result.put("last_ms", lastMs);
        result.put("detail", detail == null ? "" : detail);
        return result;
    }

    private void add(Answer answer, JsonNode written) {
        Map<String, JsonNode> row = new HashMap<>();
        written.fields().forEachRemaining(field -> row.put(field.getKey().toLowerCase(Locale.ROOT), field.getValue()));
        switch (query) {
            case "q0" -> answer.add(longs(row, "auction"), longs(row, "bidder"), longs(row, "price"), text(row, "channel"),
                text(row, "url"), longs(row, "date_time"), text(row, "extra"));
            case "q1" -> answer.add(longs(row, "auction"), longs(row, "bidder"), row.get("price").asDouble(), text(row, "channel"),
                text(row, "url"), longs(row, "date_time"), text(row, "extra"));
            case "q2" -> answer.add(longs(row, "auction"), longs(row, "price"));
            case "q3" -> {
                if (longs(row, "id") != 0) {
                    answer.add(longs(row, "id"), longs(row, "seller"), text(row, "name"), text(row, "city"), text(row, "state"));
                }
            }
            case "tumbling", "hopping", "q12" -> {
                if (longs(row, "window_start") <= Events.CLOSING_MS - 10_000) {
                    answer.add(longs(row, query.equals("q12") ? "bidder" : "auction"), longs(row, "window_start"), longs(row, "bids"));
                }
            }
            case "q17" -> answer.add(longs(row, "auction"), longs(row, "day"), longs(row, "bids"), longs(row, "min_price"),
                longs(row, "max_price"), longs(row, "sum_price"));
            default -> throw new IllegalArgumentException("unknown query " + query);
        }
    }

    private static long longs(Map<String, JsonNode> row, String field) {
        return row.get(field).asLong();
    }

    private static String text(Map<String, JsonNode> row, String field) {
        return row.get(field).asText();
    }

    private List<TopicPartition> sinks() {
        List<TopicPartition> sinks = new ArrayList<>();
        for (int partition = 0; partition < partitions; partition++) {
            sinks.add(new TopicPartition(sink, partition));
        }
        return sinks;
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties config = new Properties();
        config.put("bootstrap.servers", servers);
        config.put("isolation.level", "read_committed");
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
