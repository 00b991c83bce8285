-- The shop of contracts/shop.json with a few rows, and penstock's account.
CREATE USER 'penstock'@'%' IDENTIFIED BY 'only-for-a-look';
GRANT REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO 'penstock'@'%';
GRANT SELECT ON shop.* TO 'penstock'@'%';

USE shop;

CREATE TABLE users (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
  name VARCHAR(100),
  status ENUM('active','blocked','deleted') NOT NULL DEFAULT 'active',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  preferences JSON,
  UNIQUE KEY users_email (email)
) CHARACTER SET utf8mb4;

CREATE TABLE products (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  sku CHAR(12) COLLATE utf8mb4_bin NOT NULL,
  title VARCHAR(200) NOT NULL,
  description TEXT,
  price DECIMAL(10,2) NOT NULL,
  tags SET('new','sale','eco','gift') NOT NULL DEFAULT '',
  weight_g INT,
  image VARBINARY(64),
  updated_at DATETIME(3) NOT NULL,
  UNIQUE KEY products_sku (sku)
) CHARACTER SET utf8mb4;

CREATE TABLE orders (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  user_id INT UNSIGNED NOT NULL,
  status ENUM('cart','placed','paid','shipped','cancelled') NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  placed_at DATETIME(6) NOT NULL,
  note VARCHAR(500),
  KEY orders_user (user_id)
) CHARACTER SET utf8mb4;

CREATE TABLE order_items (
  order_id BIGINT UNSIGNED NOT NULL,
  line INT NOT NULL,
  product_id BIGINT UNSIGNED NOT NULL,
  quantity INT NOT NULL,
  unit_price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line)
) CHARACTER SET utf8mb4;

INSERT INTO users (id, email, name, preferences) VALUES
  (1, 'ann@example.com', 'Ann', '{"newsletter": true}'),
  (2, 'bob@example.com', NULL, NULL);

INSERT INTO products VALUES
  (1, 'CUP-WHITE', 'A white cup', 'Holds a quarter of a litre', 7.90, 'new,eco', 310, NULL, NOW(3)),
  (2, 'POT-BLUE', 'A blue pot', NULL, 24.50, '', NULL, x'00FF', NOW(3));

INSERT INTO orders VALUES (100, 1, 'paid', 32.40, NOW(6), NULL), (101, 2, 'cart', 7.90, NOW(6), 'no hurry');

INSERT INTO order_items VALUES (100, 1, 1, 1, 7.90), (100, 2, 2, 1, 24.50), (101, 1, 1, 1, 7.90);
