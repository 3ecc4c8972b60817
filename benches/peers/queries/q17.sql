CREATE TABLE sink WITH (KAFKA_TOPIC = '${sink}', KEY_FORMAT = 'JSON') AS
  SELECT auction AS k, date_time / 86400000 AS d, AS_VALUE(auction) AS auction, AS_VALUE(date_time / 86400000) AS day,
    COUNT(*) AS bids, MIN(price) AS min_price, MAX(price) AS max_price, SUM(price) AS sum_price
  FROM bid GROUP BY auction, date_time / 86400000;
