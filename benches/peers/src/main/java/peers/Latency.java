package peers;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends bids at a fixed rate and reads what a program makes of them.
 *
 * <p>Arguments: bootstrap servers, partitions, records a second, seconds, sink topic. Makes the topics, prints
 * {@code ready}, waits for a line on standard input, sends for twice the seconds, and prints one JSON object with the
 * percentiles of the second half, in milliseconds from send to receipt of the committed result. Both clocks are one.
 */
public final class Latency {
    private static final long END_LIMIT_MS = 60_000;

    private Latency() {}

    public static void main(String[] args) throws Exception {
        String servers = args[0];
        int partitions = Integer.parseInt(args[1]);
        int rate = Integer.parseInt(args[2]);
        int seconds = Integer.parseInt(args[3]);
        String sink = args[4];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            List<NewTopic> topics = new ArrayList<>();
            for (String name : List.of("person", "auction", "bid", sink)) {
                topics.add(Generate.topic(name, partitions));
            }
            admin.createTopics(topics).all().get();
        }
        System.out.println("ready");
        System.in.read();
        AtomicBoolean sent = new AtomicBoolean();
        Thread sender = new Thread(() -> send(servers, rate, 2 * seconds, sent));
        sender.start();
        long[] taken = receive(servers, partitions, sink, (long) rate * seconds, (long) rate * seconds, sent);
        sender.join();
        Arrays.sort(taken);
        System.out.println(new ObjectMapper().writeValueAsString(Map.of(
            "p50_ms", taken[taken.length / 2] / 1000.0,
            "p99_ms", taken[(int) (taken.length * 0.99)] / 1000.0,
            "max_ms", taken[taken.length - 1] / 1000.0)));
    }

    /** A bid whose {@code date_time} is the moment of its send, in microseconds of the process's clock. */
    private static void send(String servers, int rate, int seconds, AtomicBoolean sent) {
        Properties config = new Properties();
        config.put("bootstrap.servers", servers);
        config.put("linger.ms", "0");
        Events events = new Events(1, Long.MAX_VALUE, 1_000_000);
        try (KafkaProducer<Long, String> producer = new KafkaProducer<>(config, new LongSerializer(), new StringSerializer())) {
            long begun = System.nanoTime();
            for (long number = 0; number < (long) rate * seconds; number++) {
                Events.Event event = events.next();
                while (event.kind != Events.Kind.BID) {
                    event = events.next();
                }
                long due = begun + number * 1_000_000_000L / rate;
                long ahead = due - System.nanoTime();
                if (ahead > 100_000) {
                    Thread.sleep(ahead / 1_000_000, (int) (ahead % 1_000_000));
                }
                // From when it was due: a sender that is held up hides nothing.
                event.timeMs = due / 1000;
                producer.send(new ProducerRecord<>("bid", null, System.currentTimeMillis(), event.key(), event.json()));
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        } finally {
            sent.set(true);
        }
    }

    /** Microseconds from send to receipt of {@code count} records behind the first {@code skip}. */
    private static long[] receive(String servers, int partitions, String sink, long skip, long count, AtomicBoolean sent) {
        Properties config = new Properties();
        config.put("bootstrap.servers", servers);
        config.put("isolation.level", "read_committed");
        config.put("fetch.min.bytes", "1");
        long[] taken = new long[(int) count];
        long seen = 0;
        long lastMs = System.currentTimeMillis();
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> sinks = new ArrayList<>();
            for (int partition = 0; partition < partitions; partition++) {
                sinks.add(new TopicPartition(sink, partition));
            }
            consumer.assign(sinks);
            consumer.seekToBeginning(sinks);
            while (seen < skip + count) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    long now = System.nanoTime() / 1000;
                    if (seen >= skip && seen < skip + count) {
                        taken[(int) (seen - skip)] = now - sentAt(record.value());
                    }
                    seen++;
                    lastMs = System.currentTimeMillis();
                }
                if (sent.get() && System.currentTimeMillis() - lastMs > END_LIMIT_MS) {
                    throw new IllegalStateException("only " + seen + " of " + (skip + count) + " results came");
                }
            }
        }
        return taken;
    }

    private static long sentAt(byte[] value) {
        String text = new String(value, java.nio.charset.StandardCharsets.UTF_8).toLowerCase(Locale.ROOT);
        int from = text.indexOf("\"date_time\":") + "\"date_time\":".length();
        int to = from;
        while (to < text.length() && (Character.isDigit(text.charAt(to)) || text.charAt(to) == '-')) {
            to++;
        }
        return Long.parseLong(text.substring(from, to));
    }
}
