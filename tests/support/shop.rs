//! The oracle for the sample shop under `contracts/shop.json`: its items, each attribute written by hand as SQL.

use mysql_async::Conn;

use super::items::Tables;
use super::oracle::Oracle;

const PRODUCTS: &str = r"
SELECT id AS `product_id:N`, sku, title, description, price AS `price:N`, price AS `price_label`, tags AS `tags:SS`,
       weight_g AS `weight_g:N`, REPLACE(TO_BASE64(image), '\n', '') AS image,
       CONCAT(REPLACE(updated_at, ' ', 'T'), 'Z') AS updated_at
FROM products";

const USERS: &str = r"
SELECT CONCAT('USER#', id) AS PK, 'PROFILE' AS SK, 'USER' AS entity_type, id AS `user_id:N`, email, name, status,
       CONCAT(REPLACE(created_at, ' ', 'T'), 'Z') AS created_at, preferences AS `preferences:J`
FROM users";

const ORDERS: &str = r"
SELECT CONCAT('ORDER#', id) AS PK, 'ORDER' AS SK, 'ORDER' AS entity_type, id AS `order_id:N`,
       CONCAT('USER#', user_id) AS customer, status AS order_status, total AS `total:N`,
       CONCAT(REPLACE(placed_at, ' ', 'T'), 'Z') AS placed_at, DATE_FORMAT(placed_at, '%Y-%m-%d') AS placed_on, note
FROM orders";

const ORDER_ITEMS: &str = r"
SELECT CONCAT('ORDER#', order_id) AS PK, CONCAT('ITEM#', LPAD(line, 11, '0')) AS SK, 'ORDER_ITEM' AS entity_type,
       LPAD(line, 11, '0') AS line_padded, line AS `line:N`, product_id AS `product_id:N`, quantity AS `quantity:N`,
       unit_price AS `unit_price:N`
FROM order_items";

/// What must be in DynamoDB for the shop as it is now in the connection's database.
pub async fn expected(conn: &mut Conn) -> Tables {
    let mut oracle = Oracle::new();
    oracle
        .add(conn, "Products", &["product_id"], PRODUCTS)
        .await;
    for sql in [USERS, ORDERS, ORDER_ITEMS] {
        oracle.add(conn, "Shop", &["PK", "SK"], sql).await;
    }
    oracle.into_tables()
}
