package peers;

import java.util.SplittableRandom;

/**
 * The input: events of an auction house after Nexmark, in the order of their time, from one seed.
 *
 * <p>Of 50 events one is a person, three are auctions and 46 are bids. Half of the bids go to one hot auction of the
 * last hundred, three quarters come from one hot bidder. One event of each kind at the end, far in the future, closes all
 * windows: its ids are 0.
 */
final class Events {
    static final long START_MS = 1_700_000_000_000L;
    static final long CLOSING_MS = START_MS + 400L * 86_400_000;
    private static final int FIRST_ID = 1000;
    private static final String[] CHANNELS = {"apple", "google", "facebook", "baidu"};
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    private static final String[] CITIES = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Seattle"};
    private static final String[] NAMES = {"Peter Jones", "Paul Smith", "Luke White", "Saul Abrams", "Vicky Noris", "Kate Shultz"};

    enum Kind { PERSON, AUCTION, BID }

    /** One event: where it goes, its key, its time, and its fields. Fields of other kinds are unset. */
    static final class Event {
        Kind kind;
        long id, timeMs;
        long auction, bidder, price;
        String channel, url, extra;
        long seller, category;
        String item, name, city, state;

        long key() {
            return kind == Kind.BID ? auction : id;
        }

        String json() {
            return switch (kind) {
                case BID -> "{\"auction\":" + auction + ",\"bidder\":" + bidder + ",\"price\":" + price + ",\"channel\":\"" + channel
                    + "\",\"url\":\"" + url + "\",\"date_time\":" + timeMs + ",\"extra\":\"" + extra + "\"}";
                case AUCTION -> "{\"id\":" + id + ",\"item\":\"" + item + "\",\"seller\":" + seller + ",\"category\":" + category
                    + ",\"date_time\":" + timeMs + ",\"extra\":\"" + extra + "\"}";
                case PERSON -> "{\"id\":" + id + ",\"name\":\"" + name + "\",\"city\":\"" + city + "\",\"state\":\"" + state
                    + "\",\"date_time\":" + timeMs + ",\"extra\":\"" + extra + "\"}";
            };
        }
    }

    private final SplittableRandom random;
    private final long count;
    private final long perSecond;
    private long next;

    /** {@code count} events of one seed, {@code perSecond} of them in each second of event time. */
    Events(long seed, long count, long perSecond) {
        random = new SplittableRandom(seed);
        this.count = count;
        this.perSecond = perSecond;
    }

    /** The next event, or null behind the last. */
    Event next() {
        if (next == count) {
            return null;
        }
        long number = next++;
        long timeMs = START_MS + number * 1000 / perSecond;
        long round = number / 50;
        int place = (int) (number % 50);
        Event event = new Event();
        event.timeMs = timeMs;
        if (place == 0) {
            person(event, FIRST_ID + round);
        } else if (place < 4) {
            auction(event, FIRST_ID + round * 3 + place - 1, FIRST_ID + round);
        } else {
            bid(event, FIRST_ID + round * 3 + 2, FIRST_ID + round);
        }
        return event;
    }

    /** The events behind the last, one of each kind. */
    static Event[] closing() {
        Event[] events = new Event[3];
        Events source = new Events(0, 0, 1);
        for (Kind kind : Kind.values()) {
            Event event = new Event();
            event.timeMs = CLOSING_MS;
            switch (kind) {
                case PERSON -> source.person(event, 0);
                case AUCTION -> source.auction(event, 0, 0);
                case BID -> source.bid(event, 0, 0);
            }
            event.auction = event.bidder = event.seller = 0;
            events[kind.ordinal()] = event;
        }
        return events;
    }

    private void person(Event event, long id) {
        event.kind = Kind.PERSON;
        event.id = id;
        event.name = NAMES[random.nextInt(NAMES.length)];
        event.city = CITIES[random.nextInt(CITIES.length)];
        event.state = STATES[random.nextInt(STATES.length)];
        event.extra = letters(60);
    }

    private void auction(Event event, long id, long lastPerson) {
        event.kind = Kind.AUCTION;
        event.id = id;
        event.item = letters(16);
        // Never the person of the same millisecond: which of the two is first would be anybody's choice.
        event.seller = lastPerson - 1 - random.nextInt(1000);
        event.category = 10 + random.nextInt(5);
        event.extra = letters(60);
    }

    private void bid(Event event, long lastAuction, long lastPerson) {
        event.kind = Kind.BID;
        event.auction = random.nextInt(2) == 0 ? hot(lastAuction) : near(lastAuction, 100);
        event.bidder = random.nextInt(4) != 0 ? hot(lastPerson) : near(lastPerson, 1000);
        event.price = Math.round(Math.pow(10, random.nextDouble() * 6) * 100);
        int channel = random.nextInt(CHANNELS.length);
        event.channel = CHANNELS[channel];
        event.url = "https://www.nexmark.com/" + letters(5) + "/item.htm?query=" + channel;
        event.extra = letters(36);
    }

    /** One that changes every hundred ids. */
    private static long hot(long last) {
        return Math.max(FIRST_ID, last / 100 * 100);
    }

    /** One of the last ones. */
    private long near(long last, int reach) {
        return Math.max(FIRST_ID, last - random.nextInt(reach));
    }

    private String letters(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) ('a' + random.nextInt(26));
        }
        return new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
    }
}
