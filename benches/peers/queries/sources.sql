CREATE STREAM bid (k BIGINT KEY, auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time BIGINT, extra VARCHAR)
  WITH (KAFKA_TOPIC = 'bid', KEY_FORMAT = 'KAFKA', VALUE_FORMAT = 'JSON');
CREATE STREAM auction (k BIGINT KEY, id BIGINT, item VARCHAR, seller BIGINT, category BIGINT, date_time BIGINT)
  WITH (KAFKA_TOPIC = 'auction', KEY_FORMAT = 'KAFKA', VALUE_FORMAT = 'JSON');
CREATE TABLE person (id BIGINT PRIMARY KEY, name VARCHAR, city VARCHAR, state VARCHAR)
  WITH (KAFKA_TOPIC = 'person', KEY_FORMAT = 'KAFKA', VALUE_FORMAT = 'JSON');
SET 'auto.offset.reset' = 'earliest';
