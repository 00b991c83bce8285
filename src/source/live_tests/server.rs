//! Catalog and preflight.

use mysql_async::prelude::Queryable;

use super::{DATABASE, connect, options, sql};
use crate::schema::TableName;
use crate::source::options::{Options, Secret};

#[tokio::test]
#[ignore = "needs a server"]
async fn the_catalog_is_loaded() {
    use crate::schema::{ColumnType, Generated, ReferentialAction};
    sql(&[
        "DROP DATABASE IF EXISTS penstock_child",
        "DROP TABLE IF EXISTS everything",
        "CREATE TABLE everything (b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL, a MEDIUMINT UNSIGNED NOT NULL, \
         e ENUM('a', 'it''s', 'x,y', 'b\\\\c', 'n\\nl', 'ü('), s SET('p', 'q'), d DECIMAL(65,30), t TIMESTAMP(6) NULL, bit1 BIT(17), \
         g POINT, v VECTOR(7), j JSON, y YEAR, bin BINARY(5), vb VARBINARY(9), gen INT AS (a + 1) VIRTUAL, st INT AS (a + 2) STORED, \
         inv INT INVISIBLE, c CHAR(3), f FLOAT UNSIGNED, ti TIME(3), `we``ird` INT, PRIMARY KEY (b, a), UNIQUE u1 (a, `we``ird`), \
         UNIQUE u2 (c(2)), UNIQUE u3 ((a * 2)))",
        "CREATE DATABASE penstock_child",
        "CREATE TABLE penstock_child.kid (id INT PRIMARY KEY, b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci, a MEDIUMINT UNSIGNED, \
         CONSTRAINT fk FOREIGN KEY (b, a) REFERENCES penstock_source.everything (b, a) ON DELETE CASCADE ON UPDATE SET NULL)",
    ])
    .await;
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let catalog = crate::source::catalog::load(&options(), &mut conn, &[DATABASE.to_owned()])
        .await
        .expect("loaded");
    let table = &catalog.tables[&TableName::new(DATABASE, "everything")];
    assert_eq!((table.columns.len(), table.engine.as_str()), (20, "InnoDB"));
    assert_eq!(table.primary_key, [0, 1]);
    assert_eq!(table.unique_keys.len(), 1);
    assert_eq!(table.unique_keys[0].columns, [1, 19]);
    let ty = |name: &str| table.column(name).expect("a column").ty.clone();
    assert_eq!(
        ty("a"),
        ColumnType::Int {
            bytes: 3,
            unsigned: true,
            zerofill: None,
        }
    );
    let ColumnType::Enum {
        labels, charset, ..
    } = ty("e")
    else {
        panic!("an enum")
    };
    assert_eq!(
        (labels, charset.as_str()),
        (
            ["a", "it's", "x,y", "b\\c", "n\nl", "ü("]
                .map(str::to_owned)
                .to_vec(),
            "utf8mb4"
        )
    );
    assert_eq!(
        ty("d"),
        ColumnType::Decimal {
            precision: 65,
            scale: 30,
            unsigned: false,
            zerofill: false,
        }
    );
    assert_eq!(ty("t"), ColumnType::Timestamp { fsp: 6 });
    assert_eq!(ty("bit1"), ColumnType::Bit { bits: 17 });
    assert_eq!(ty("v"), ColumnType::Vector { dimensions: 7 });
    assert_eq!(
        (ty("g"), ty("j"), ty("y")),
        (ColumnType::Geometry, ColumnType::Json, ColumnType::Year)
    );
    assert_eq!(
        (ty("bin"), ty("vb")),
        (
            ColumnType::Binary { length: 5 },
            ColumnType::Bytes { max_length: 9 }
        )
    );
    assert_eq!(
        (ty("f"), ty("ti")),
        (
            ColumnType::Float {
                unsigned: true,
                decimals: None,
                zerofill: None,
            },
            ColumnType::Time { fsp: 3 }
        )
    );
    let ColumnType::Text {
        max_chars,
        charset,
        fixed,
        ..
    } = ty("b")
    else {
        panic!("a text")
    };
    assert_eq!((max_chars, charset.as_str(), fixed), (20, "latin1", false));
    let column = |name: &str| table.column(name).expect("a column");
    assert_eq!(
        (column("gen").generated, column("st").generated),
        (Generated::Virtual, Generated::Stored)
    );
    assert!(column("inv").invisible && column("inv").nullable && !column("a").nullable);
    let kid = &catalog.tables[&TableName::new("penstock_child", "kid")];
    let key = &kid.foreign_keys[0];
    assert_eq!(
        (key.columns.as_slice(), key.on_delete, key.on_update),
        (
            &[1, 2][..],
            ReferentialAction::Cascade,
            ReferentialAction::SetNull
        )
    );
    conn.query_drop("DROP DATABASE penstock_child")
        .await
        .expect("dropped");
}

/// Applies each finding's SQL as root, with `PENSTOCK_TEST_MYSQL_BAD` naming a server that is set up badly.
#[tokio::test]
#[ignore = "needs a server"]
async fn preflight_cures_what_it_finds() {
    use crate::source::preflight::{Severity, preflight};
    let Ok(address) = std::env::var("PENSTOCK_TEST_MYSQL_BAD") else {
        return;
    };
    let port = address
        .rsplit_once(':')
        .and_then(|(_, p)| p.parse().ok())
        .expect("host:port");
    let root = Options { port, ..options() };
    let mut admin = connect::connect(&root).await.expect("a connection");
    for statement in [
        "DROP USER IF EXISTS 'pen''stock'@'%'",
        "CREATE USER 'pen''stock'@'%' IDENTIFIED BY 'x'",
        "CREATE DATABASE IF NOT EXISTS `odd``base`",
        "CREATE TABLE IF NOT EXISTS `odd``base`.t (id INT PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS `odd``base`.my (id INT PRIMARY KEY) ENGINE = MyISAM",
    ] {
        admin.query_drop(statement).await.expect(statement);
    }
    let user = Options {
        user: "pen'stock".to_owned(),
        password: Secret::new("x"),
        ..root
    };
    let tables = [
        TableName::new("odd`base", "t"),
        TableName::new("odd`base", "my"),
    ];
    for round in 0..3 {
        let mut conn = connect::connect(&user).await.expect("a connection");
        let (facts, findings) = preflight(&user, &mut conn, &tables, 4260)
            .await
            .expect("looked at");
        let bad: Vec<_> = findings
            .iter()
            .filter(|f| f.severity > Severity::Note)
            .collect();
        for f in &findings {
            println!(
                "{round} {:?} {}: {} | {:?}",
                f.severity, f.what, f.found, f.cure_sql
            );
        }
        println!("{facts:?}");
        if round == 2 {
            assert!(bad.is_empty(), "{bad:?}");
            break;
        }
        for cure in bad.iter().filter_map(|f| f.cure_sql.as_deref()) {
            for line in cure.lines().filter(|l| !l.starts_with("--")) {
                admin
                    .query_drop(line.trim_end_matches(';'))
                    .await
                    .expect(line);
            }
        }
    }
}
