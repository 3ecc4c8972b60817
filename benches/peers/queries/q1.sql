CREATE STREAM sink WITH (KAFKA_TOPIC = '${sink}') AS
  SELECT k, auction, bidder, CAST(0.908 AS DOUBLE) * price AS price, channel, url, date_time, extra FROM bid;
