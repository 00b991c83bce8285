SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

-- Orders: one row for each item of Orders (pk, sk), from shop.orders
SELECT /*+ SET_VAR(group_concat_max_len = 1073741824) */
  d.`id` AS `_key_1`,
  CONCAT('ORDER#', d.`id`) AS `pk:S`, -- /tables/0/attributes/0
  'it''s\\' AS `sk:S`, -- /tables/0/attributes/1
  DATE_FORMAT(d.`placed_at`, '%Y-%m-%d') AS `day:S`, -- /tables/0/attributes/2
  TO_SECONDS(d.`placed_at`) - 62167219200 AS `epoch:N`, -- /tables/0/attributes/3
  (TO_SECONDS(d.`paid_at`) - 62167219200) * 1000 + MICROSECOND(d.`paid_at`) DIV 1000 AS `paid_ms:N`, -- /tables/0/attributes/4
  CASE WHEN TO_DAYS(d.`paid_at`) IS NOT NULL THEN CONCAT(DATE_FORMAT(d.`paid_at`, '%Y-%m-%dT%H:%i:%s'), '.', LEFT(DATE_FORMAT(d.`paid_at`, '%f'), 6), 'Z') END AS `paid_iso:S`, -- /tables/0/attributes/5
  CONCAT(DATE_FORMAT(d.`paid_at`, '%H:%i:%s,'), LEFT(DATE_FORMAT(d.`paid_at`, '%f'), 3), DATE_FORMAT(d.`paid_at`, ' %%h')) AS `paid_clock:S`, -- /tables/0/attributes/6
  CASE WHEN TO_DAYS(STR_TO_DATE(CONCAT(d.`note`, ' 00'), '%d.%m.%Y %H')) IS NOT NULL THEN DATE_FORMAT(STR_TO_DATE(CONCAT(d.`note`, ' 00'), '%d.%m.%Y %H'), '%Y-%m-%dT%H:%i:%sZ') END AS `noted_on:S`, -- /tables/0/attributes/7
  d.`total` AS `total:N`, -- /tables/0/attributes/8
  CONCAT(CASE WHEN CAST(d.`total` AS DECIMAL(65, 1)) < 0 THEN '-' ELSE '' END, LPAD(ABS(CAST(d.`total` AS DECIMAL(65, 1))), GREATEST(5, CHAR_LENGTH(ABS(CAST(d.`total` AS DECIMAL(65, 1))))), '0')) AS `total_label:S`, -- /tables/0/attributes/9
  LPAD(CAST(d.`id` AS DECIMAL(65, 0)), GREATEST(12, CHAR_LENGTH(CAST(d.`id` AS DECIMAL(65, 0)))), '0') AS `padded:S`, -- /tables/0/attributes/10
  d.`note` AS `parsed:M`, -- /tables/0/attributes/11
  NULL AS `nothing:NULL`, -- /tables/0/attributes/12
  CONCAT(d.`status`, '#', d.`total`) AS `pair:S`, -- /tables/0/attributes/13
  COALESCE( customers_1.`name` , 'no, body' ) AS `customer:S`, -- /tables/0/attributes/14
  customers_1.`email` AS `email:S`, -- /tables/0/attributes/15
  CAST(CONCAT(CONCAT(customers_1.`score`) * 1e0) AS DECIMAL(65, 2)) AS `score:S`, -- /tables/0/attributes/16
  customers_1.`bits` + 0 AS `bits:N`, -- /tables/0/attributes/17
  contacts_2.`phone` AS `phone:S`, -- /tables/0/attributes/18
  order_items_3.`sku` AS `first_line:S`, -- /tables/0/attributes/19
  CASE WHEN d.`total` > 100 THEN customers_1.`tier` ELSE 'small' END AS `greeting:S`, -- /tables/0/attributes/20
  CASE WHEN d.`total` > 100 THEN customers_1.`country` ELSE customers_1.`name` END AS `place:S`, -- /tables/0/attributes/21
  CONCAT_WS(' < ', customers_1.`name`, customers_4.`name`) AS `manager:S`, -- /tables/0/attributes/22
  CASE WHEN TO_DAYS(customers_4.`born`) IS NOT NULL THEN DATE_FORMAT(customers_4.`born`, '%Y-%m-%dT%H:%i:%sZ') END AS `manager_born:S`, -- /tables/0/attributes/23
  (SELECT CONCAT('[', COALESCE(GROUP_CONCAT(x.element ORDER BY x.n SEPARATOR ', '), ''), ']')
     FROM (SELECT JSON_OBJECT('line', t.`line_no`, 'it''s', t.`quantity` * t.`price`) AS element,
                  ROW_NUMBER() OVER (ORDER BY COALESCE(t.`price`, 0) DESC, t.`sku`, t.`order_id`, t.`line_no`) AS n
             FROM `shop`.`order_items` AS t
            WHERE (d.`id` = t.`order_id`)) AS x
    WHERE x.n <= 3) AS `lines:L`, -- /tables/0/attributes/24
  (SELECT JSON_OBJECT('phone', t.`phone`)
     FROM `crm`.`contacts` AS t
    WHERE (d.`customer_id` = t.`customer_id`)
    ORDER BY t.`id` LIMIT 1) AS `any_contact:M`, -- /tables/0/attributes/25
  (SELECT COUNT(*)
     FROM `shop`.`order_items` AS t
    WHERE (d.`id` = t.`order_id`)) AS `count:N`, -- /tables/0/attributes/26
  (SELECT SUM(t.`quantity` * t.`price`)
     FROM `shop`.`order_items` AS t
    WHERE (d.`id` = t.`order_id`)) AS `sum:N`, -- /tables/0/attributes/27
  (SELECT AVG(x.value)
     FROM (SELECT t.`weight` AS value
             FROM `shop`.`order_items` AS t
            WHERE (d.`id` = t.`order_id`)
            ORDER BY t.`order_id`, t.`line_no` LIMIT 18446744073709551615) AS x) AS `weight:N`, -- /tables/0/attributes/28
  CASE WHEN d.`status` = 'paid' THEN 'done' WHEN d.`total` = 0 THEN 0 ELSE UPPER(d.`status`) END AS `label:S`, -- /tables/0/attributes/29
  CONCAT(d.`status`, d.`note`) AS `joined:S`, -- /tables/0/attributes/30
  CONCAT_WS('/', d.`status`, LOWER(d.`note`)) AS `separated:S`, -- /tables/0/attributes/31
  DATE_FORMAT(DATE_ADD(d.`placed_at`, INTERVAL 30 DAY), '%d.%m.%Y') AS `due:S` -- /tables/0/attributes/32
FROM `shop`.`orders` AS d
LEFT JOIN `shop`.`customers` AS customers_1 ON (d.`customer_id` = customers_1.`id`)
LEFT JOIN LATERAL (
  SELECT t.`id` FROM `crm`.`contacts` AS t
  WHERE (d.`customer_id` = t.`customer_id`) ORDER BY t.`id` LIMIT 1
) AS contacts_2_key ON TRUE
LEFT JOIN `crm`.`contacts` AS contacts_2 ON contacts_2.`id` = contacts_2_key.`id`
LEFT JOIN LATERAL (
  SELECT t.`order_id`, t.`line_no` FROM `shop`.`order_items` AS t
  WHERE (d.`id` = t.`order_id`) AND (t.`line_no` = 1) ORDER BY t.`order_id`, t.`line_no` LIMIT 1
) AS order_items_3_key ON TRUE
LEFT JOIN `shop`.`order_items` AS order_items_3 ON order_items_3.`order_id` = order_items_3_key.`order_id` AND order_items_3.`line_no` = order_items_3_key.`line_no`
LEFT JOIN `shop`.`customers` AS customers_4 ON (customers_1.`manager_id` = customers_4.`id`)
WHERE (d.`status` <> 'de''leted' AND d.`total` >= 0)
  AND NOT COALESCE(NOT REGEXP_LIKE(d.`note`, '^[0-9]{2}\\.[0-9]{2}\\.[0-9]{4}$', 'c'), FALSE)
  AND NOT COALESCE((d.`note` IS NOT NULL AND STR_TO_DATE(CONCAT(d.`note`, ' 00'), '%d.%m.%Y %H') IS NULL), FALSE);

-- Everything/CUSTOMER: one row for each item of Everything (PK, SK), from shop.customers
-- of rows that share an item's key, the first one owns it
SELECT
  d.`id` AS `_key_1`,
  CONCAT('C#', d.`email`, '#', d.`name`) AS `PK:S`, -- /tables/1/entities/0/pk_template
  CONCAT(LOWER(HEX(d.`token`))) AS `SK:S`, -- /tables/1/entities/0/sk_template
  LOWER(HEX(d.`token`)) AS `id_hex:S`, -- /tables/1/entities/0/attributes/0
  BIN_TO_UUID(d.`token`) AS `uuid:S`, -- /tables/1/entities/0/attributes/1
  REPLACE(TO_BASE64(d.`photo`), '\n', '') AS `photo:S`, -- /tables/1/entities/0/attributes/2
  CASE WHEN LENGTH(d.`photo`) = 16 THEN BIN_TO_UUID(d.`photo`) END AS `photo_id:S`, -- /tables/1/entities/0/attributes/3
  COALESCE(customers_1.`name`, 'nobody') AS `manager:S`, -- /tables/1/entities/0/attributes/4
  CONCAT(CONCAT(d.`score`) * 1e0, '#', d.`bits` + 0, '#', d.`created_at`) AS `score:S` -- /tables/1/entities/0/attributes/5
FROM `shop`.`customers` AS d
LEFT JOIN `shop`.`customers` AS customers_1 ON (d.`manager_id` = customers_1.`id`)
WHERE NOT COALESCE((LENGTH(d.`photo`) <> 16), FALSE)
ORDER BY d.`id`;

-- Everything/WORD: one row for each item of Everything (PK, SK), from shop.translations
-- of rows that share an item's key, the first one owns it, after those of Everything/CUSTOMER
SELECT
  d.`locale` AS `_key_1`,
  d.`term` AS `_key_2`,
  CONCAT('C#', d.`locale`, '#', d.`term`) AS `PK:S`, -- /tables/1/entities/1/pk_template
  CONCAT(d.`text`) AS `SK:S` -- /tables/1/entities/1/sk_template
FROM `shop`.`translations` AS d
ORDER BY d.`locale`, d.`term`;
