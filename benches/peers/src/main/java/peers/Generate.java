package peers;

import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Creates the topics {@code person}, {@code auction} and {@code bid} and fills them.
 *
 * <p>Arguments: bootstrap servers, partitions, number of events, seed, events per second of event time. Keys are the id,
 * of bids the auction's, as 8 bytes; values are JSON; the record's time is the event's.
 */
public final class Generate {
    static final int SEED_ARGUMENT = 3;

    private Generate() {}

    public static void main(String[] args) throws Exception {
        String servers = args[0];
        int partitions = Integer.parseInt(args[1]);
        Events events = new Events(Long.parseLong(args[SEED_ARGUMENT]), Long.parseLong(args[2]), Long.parseLong(args[4]));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            admin.createTopics(List.of(topic("person", partitions), topic("auction", partitions), topic("bid", partitions))).all().get();
        }
        Properties config = new Properties();
        config.put("bootstrap.servers", servers);
        config.put("linger.ms", "20");
        config.put("batch.size", "262144");
        config.put("compression.type", "lz4");
        try (KafkaProducer<Long, String> producer = new KafkaProducer<>(config, new LongSerializer(), new StringSerializer())) {
            for (Events.Event event = events.next(); event != null; event = events.next()) {
                producer.send(new ProducerRecord<>(topicOf(event), null, event.timeMs, event.key(), event.json()));
            }
            for (Events.Event event : Events.closing()) {
                for (int partition = 0; partition < partitions; partition++) {
                    producer.send(new ProducerRecord<>(topicOf(event), partition, event.timeMs, event.key(), event.json()));
                }
            }
        }
    }

    static String topicOf(Events.Event event) {
        return event.kind.name().toLowerCase(java.util.Locale.ROOT);
    }

    static NewTopic topic(String name, int partitions) {
        // Event times are years back: retention by time would take the records away while they are read.
        return new NewTopic(name, partitions, (short) 1).configs(Map.of("retention.ms", "-1"));
    }
}
