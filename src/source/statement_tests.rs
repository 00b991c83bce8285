use super::*;

fn tables() -> Tables {
    let names = [
        ("shop", "orders"),
        ("shop", "od`d"),
        ("Other", "Items"),
        ("shop", "größe"),
    ];
    let named = |(i, (d, t)): (usize, &(&str, &str))| (TableName::new(*d, *t), SourceId(i as u16));
    Tables::new(names.iter().enumerate().map(named).collect(), false)
}

fn class(database: &str, text: &str) -> Statement {
    let query = Query {
        database: database.as_bytes(),
        text: text.as_bytes(),
        backslash_escapes: true,
    };
    classify(&query, &tables())
}

fn touches(database: &str, text: &str) -> bool {
    matches!(class(database, text), Statement::Touches { .. })
}

#[test]
fn control_statements_are_told_apart() {
    assert_eq!(class("", "BEGIN"), Statement::Begin);
    assert_eq!(class("", "COMMIT /* orders */"), Statement::Commit);
    assert_eq!(class("", "ROLLBACK"), Statement::Rollback);
    assert_eq!(class("", "ROLLBACK TO `s`"), Statement::RollbackToSavepoint);
    assert_eq!(class("shop", "SAVEPOINT `orders`"), Statement::Savepoint);
    let xid = "X'7831',X'',1".to_owned();
    assert_eq!(
        class("", "XA START X'7831',X'',1"),
        Statement::XaStart(xid.clone())
    );
    assert_eq!(
        class("", "XA COMMIT X'7831', X'', 1"),
        Statement::XaCommit(xid.clone())
    );
    assert_eq!(
        class("", "XA COMMIT X'7831',X'',1 ONE PHASE"),
        Statement::XaCommit(xid.clone())
    );
    assert_eq!(
        class("", "XA ROLLBACK X'7831',X'',1"),
        Statement::XaRollback(xid)
    );
}

#[test]
fn statements_that_name_a_table_of_the_contract_touch_it() {
    for text in [
        "ALTER TABLE orders ADD c INT",
        "alter table `orders` drop column a",
        "TRUNCATE orders",
        "truncate table Orders",
        "DROP TABLE IF EXISTS a, orders",
        "DROP TABLE `od``d`",
        "RENAME TABLE orders TO o2",
        "RENAME TABLE o2 TO shop.orders",
        "CREATE INDEX i ON orders (a)",
        "ALTER TABLE/* x */orders DROP PARTITION p0",
        "/*!40000 ALTER TABLE orders DISABLE KEYS */",
        "ALTER TABLE -- c\n orders ENGINE=InnoDB",
        "ALTER TABLE # c\n `shop` . `orders` FORCE",
        "INSERT INTO orders VALUES ('it''s', \"x\\\"y\")",
        "insert into x select 'a\\'b' from orders",
        "ALTER TABLE größe ADD x INT",
        "DROP DATABASE shop",
        "drop schema `SHOP`",
        "DROP DATABASE IF EXISTS shop",
        "CREATE TABLE n LIKE orders",
        "TRUNCATE \"orders\"",
    ] {
        assert!(touches("shop", text), "{text}");
    }
    assert!(touches("x", "ALTER TABLE shop.orders ADD c INT"));
    assert!(touches("x", "ALTER TABLE other.items ADD c INT"));
}

#[test]
fn others_do_not() {
    for (database, text) in [
        ("other", "ALTER TABLE orders ADD c INT"),
        ("shop", "ALTER TABLE other_orders ADD c INT"),
        ("shop", "ALTER TABLE x.orders ADD c INT"),
        ("shop", "CREATE TABLE x (a VARCHAR(10) DEFAULT 'orders')"),
        ("shop", "CREATE TABLE x (a INT) /* orders */"),
        ("shop", "DROP DATABASE shop2"),
        (
            "shop",
            "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `orders`",
        ),
        ("shop", "ALTER DATABASE shop CHARACTER SET utf8mb4"),
        ("shop", "GRANT SELECT ON orders TO x"),
        ("shop", "ANALYZE TABLE orders"),
        (
            "shop",
            "CREATE DEFINER=`root`@`localhost` TRIGGER t BEFORE INSERT ON orders FOR EACH ROW SET @a = 1",
        ),
        (
            "shop",
            "CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW v AS SELECT * FROM orders",
        ),
        ("shop", "CREATE USER 'orders'@'%'"),
        ("shop", "FLUSH TABLES orders"),
        ("shop", ""),
        ("shop", "'"),
    ] {
        assert_eq!(class(database, text), Statement::Harmless, "{text}");
    }
}

#[test]
fn the_action_holds_no_values() {
    let Statement::Touches { action, table } =
        class("shop", "INSERT INTO orders VALUES ('secret')")
    else {
        panic!("touches");
    };
    assert_eq!(
        (action.as_str(), table.table.as_str()),
        ("INSERT", "orders")
    );
}

#[test]
fn text_that_is_not_utf8_counts_by_any_trace() {
    let classify_bytes = |text: &[u8], tables: &Tables| {
        classify(
            &Query {
                database: b"shop",
                text,
                backslash_escapes: true,
            },
            tables,
        )
    };
    let one = Tables::new(vec![(TableName::new("shop", "orders"), SourceId(0))], false);
    let odd = b"ALTER TABLE x COMMENT '\xe9\x5c' , `orders`";
    assert!(matches!(
        classify_bytes(odd, &one),
        Statement::Touches { .. }
    ));
    assert_eq!(
        classify_bytes(b"ALTER TABLE x COMMENT '\xe9'", &one),
        Statement::Harmless
    );
    assert!(matches!(
        classify_bytes(b"ALTER TABLE gr\xf6\xdfe FORCE", &tables()),
        Statement::Touches { .. }
    ));
}

#[test]
fn names_are_found_as_the_server_compares_them() {
    assert_eq!(tables().find("shop", "orders"), Some(SourceId(0)));
    assert_eq!(tables().find("shop", "Orders"), None);
    let folded = Tables {
        fold: true,
        ..tables()
    };
    assert_eq!(folded.find("other", "items"), Some(SourceId(2)));
}

#[test]
fn rows_changed_by_a_statement_may_reach_any_table() {
    for text in [
        "UPDATE a_view SET n = 1",
        "INSERT INTO log SELECT changes_orders()",
        "/* app */ delete from audited where id = 1",
        "REPLACE INTO t VALUES (1)",
        "CALL p()",
        "WITH c AS (SELECT 1) DELETE FROM v",
        "LOAD DATA INFILE 'f' INTO TABLE v",
        "INSERT INTO mysql.t SELECT changes_orders()",
    ] {
        let found = class("elsewhere", text);
        assert!(
            matches!(found, Statement::ChangesRows { .. }),
            "{text}: {found:?}"
        );
    }
    // A managed server's own heartbeat.
    for text in [
        "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,1) ON DUPLICATE KEY UPDATE value = 1",
        "DELETE FROM `mysql`.`general_log_backup`",
        "CREATE TABLE other (a INT)",
    ] {
        assert_eq!(class("elsewhere", text), Statement::Harmless, "{text}");
    }
}

#[test]
fn a_dropped_database_whose_name_is_not_utf8_counts() {
    let tables = Tables::new(vec![(TableName::new("données", "t"), SourceId(0))], false);
    let query = Query {
        database: b"",
        text: b"DROP DATABASE donn\xe9es",
        backslash_escapes: true,
    };
    assert!(matches!(
        classify(&query, &tables),
        Statement::Touches { .. }
    ));
}

#[test]
fn a_backslash_escapes_only_where_the_session_says_so() {
    let text = br"ALTER TABLE o COMMENT='C:\', RENAME TO shop.orders, COMMENT=''";
    let named = |backslash_escapes| {
        let query = Query {
            database: b"other",
            text,
            backslash_escapes,
        };
        matches!(classify(&query, &tables()), Statement::Touches { .. })
    };
    assert!(named(false), "the string ends at the backslash");
    assert!(!named(true), "the string goes on to the next quote");
}
