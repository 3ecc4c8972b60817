package peers;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * The queries as Kafka Streams programs, written as a team would that uses the DSL and JSON.
 *
 * <p>Arguments: bootstrap servers, query, sink topic, state folder, threads. Exactly once; caches and RocksDB stores as
 * they come.
 */
public final class StreamsPeer {
    private static final ObjectMapper JSON =
        new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

    record Bid(long auction, long bidder, long price, String channel, String url, long date_time, String extra) {}

    record Auction(long id, String item, long seller, long category, long date_time) {}

    record Person(long id, String name, String city, String state) {}

    record Converted(long auction, long bidder, double price, String channel, String url, long date_time, String extra) {}

    record Chosen(long auction, long price) {}

    record PerAuction(long auction, long window_start, long bids) {}

    record PerBidder(long bidder, long window_start, long bids) {}

    record Local(long id, long seller, String name, String city, String state) {}

    record Day(long auction, long day, long bids, long min_price, long max_price, long sum_price) {
        Day add(Bid bid) {
            boolean first = bids == 0;
            return new Day(bid.auction, dayOf(bid), bids + 1, first ? bid.price : Math.min(min_price, bid.price),
                first ? bid.price : Math.max(max_price, bid.price), sum_price + bid.price);
        }
    }

    record AuctionDay(long auction, long day) {}

    private StreamsPeer() {}

    public static void main(String[] args) throws Exception {
        String sink = args[2];
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "streams-" + sink);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[4]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        config.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        // Event times are years back: the broker would take repartition and changelog segments away by them.
        config.put(StreamsConfig.topicPrefix("retention.ms"), "-1");
        StreamsBuilder builder = new StreamsBuilder();
        build(builder, args[1], sink);
        CountDownLatch stopped = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(10));
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static void build(StreamsBuilder builder, String query, String sink) {
        switch (query) {
            case "q0" -> bids(builder).to(sink, Produced.with(Serdes.Long(), json(Bid.class)));
            case "q1" -> bids(builder)
                .mapValues(bid -> new Converted(bid.auction, bid.bidder, 0.908 * bid.price, bid.channel, bid.url, bid.date_time, bid.extra))
                .to(sink, Produced.with(Serdes.Long(), json(Converted.class)));
            case "q2" -> bids(builder)
                .filter((key, bid) -> bid.auction % 123 == 0)
                .mapValues(bid -> new Chosen(bid.auction, bid.price))
                .to(sink, Produced.with(Serdes.Long(), json(Chosen.class)));
            case "tumbling" -> count(bids(builder).groupByKey(), TimeWindows.ofSizeWithNoGrace(Duration.ofSeconds(10)))
                .map((key, row) -> KeyValue.pair(key, new PerAuction(key, row.window_start, row.bids)))
                .to(sink, Produced.with(Serdes.Long(), json(PerAuction.class)));
            case "hopping" -> count(bids(builder).groupByKey(),
                    TimeWindows.ofSizeWithNoGrace(Duration.ofSeconds(10)).advanceBy(Duration.ofSeconds(2)))
                .map((key, row) -> KeyValue.pair(key, new PerAuction(key, row.window_start, row.bids)))
                .to(sink, Produced.with(Serdes.Long(), json(PerAuction.class)));
            case "q12" -> count(bids(builder).groupBy((key, bid) -> bid.bidder, Grouped.with(Serdes.Long(), json(Bid.class))),
                    TimeWindows.ofSizeWithNoGrace(Duration.ofSeconds(10)))
                .to(sink, Produced.with(Serdes.Long(), json(PerBidder.class)));
            case "q3" -> {
                KTable<Long, Person> persons = builder.table("person", Consumed.with(Serdes.Long(), json(Person.class)));
                builder.stream("auction", Consumed.with(Serdes.Long(), json(Auction.class)))
                    .filter((key, auction) -> auction.category == 10)
                    .selectKey((key, auction) -> auction.seller)
                    .join(persons, (auction, person) ->
                            new Local(auction.id, auction.seller, person.name, person.city, person.state),
                        Joined.with(Serdes.Long(), json(Auction.class), json(Person.class)))
                    .filter((key, row) -> row.state.equals("OR") || row.state.equals("ID") || row.state.equals("CA"))
                    .to(sink, Produced.with(Serdes.Long(), json(Local.class)));
            }
            case "q17" -> bids(builder)
                .groupBy((key, bid) -> new AuctionDay(bid.auction, dayOf(bid)), Grouped.with(json(AuctionDay.class), json(Bid.class)))
                .aggregate(() -> new Day(0, 0, 0, 0, 0, 0), (key, bid, day) -> day.add(bid),
                    Materialized.with(json(AuctionDay.class), json(Day.class)))
                .toStream()
                .to(sink, Produced.with(json(AuctionDay.class), json(Day.class)));
            default -> throw new IllegalArgumentException("unknown query " + query);
        }
    }

    private static long dayOf(Bid bid) {
        return bid.date_time / 86_400_000;
    }

    private static KStream<Long, Bid> bids(StreamsBuilder builder) {
        return builder.stream("bid", Consumed.with(Serdes.Long(), json(Bid.class)));
    }

    private static KStream<Long, PerBidder> count(KGroupedStream<Long, Bid> grouped, TimeWindows windows) {
        return grouped.windowedBy(windows)
            .count(Materialized.with(Serdes.Long(), Serdes.Long()))
            .toStream()
            .map((key, bids) -> KeyValue.pair(key.key(), new PerBidder(key.key(), key.window().start(), bids)));
    }

    private static <T> Serde<T> json(Class<T> type) {
        ObjectReader reader = JSON.readerFor(type);
        Deserializer<T> read = (topic, bytes) -> {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom((topic, value) -> {
            try {
                return value == null ? null : JSON.writeValueAsBytes(value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }, read);
    }
}
