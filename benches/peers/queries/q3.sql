CREATE STREAM sink WITH (KAFKA_TOPIC = '${sink}') AS
  SELECT a.seller AS k, a.id AS id, AS_VALUE(a.seller) AS seller, p.name AS name, p.city AS city, p.state AS state
  FROM auction a JOIN person p ON a.seller = p.id
  WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA');
