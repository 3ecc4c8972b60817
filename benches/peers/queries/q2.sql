CREATE STREAM sink WITH (KAFKA_TOPIC = '${sink}') AS SELECT k, auction, price FROM bid WHERE auction % 123 = 0;
