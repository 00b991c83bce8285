-- The shop of the recording in the README: scripts/recordings and a test run it.
CREATE DATABASE shop;
USE shop;
CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, user_id INT UNSIGNED NOT NULL, total DECIMAL(12,2) NOT NULL, note VARCHAR(500));
SET SESSION cte_max_recursion_depth = 100000;
INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  SELECT i, i % 700, i * 1.25, IF(i % 9 = 0, CONCAT('note ', i), NULL) FROM n;
ANALYZE TABLE orders;
CREATE USER 'penstock'@'%' IDENTIFIED BY 'only-for-a-look';
GRANT REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO 'penstock'@'%';
GRANT SELECT ON shop.* TO 'penstock'@'%';
