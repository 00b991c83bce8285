//! Contracts compiled against a live server, as `penstock check` does.

use penstock::contract::{Diagnostics, Severity, parse, render};
use penstock::plan::{Mapping, Plan};
use penstock::schema::Catalog;
use penstock::source::{Options, catalog, connect};

use super::mysql::Database;

/// What the server knows about the database.
pub async fn catalog(database: &Database<'_>) -> Catalog {
    let options = Options {
        port: database.server.port(),
        ..Options::default()
    };
    let mut conn = connect::connect(&options).await.expect("a connection");
    let databases = std::slice::from_ref(&database.name);
    catalog::load(&options, &mut conn, databases)
        .await
        .expect("the catalog")
}

/// The contract's plan over the database; panics with all errors of the contract.
pub async fn compile(database: &Database<'_>, contract: &str) -> Plan {
    compile_with(&catalog(database).await, &database.name, contract)
}

/// The same, or nothing where expressions of the contract are refused.
pub async fn compile_unless_refused(database: &Database<'_>, contract: &str) -> Option<Plan> {
    let catalog = catalog(database).await;
    let (_, diagnostics) = compiled(&catalog, &database.name, contract);
    let mut refused = diagnostics.all.iter();
    match refused.any(|d| d.severity == Severity::Error && d.code == "sql-unsupported") {
        true => None,
        false => Some(compile_with(&catalog, &database.name, contract)),
    }
}

pub fn compile_with(catalog: &Catalog, database: &str, contract: &str) -> Plan {
    let (plan, mut diagnostics) = compiled(catalog, database, contract);
    diagnostics.all.retain(|d| d.severity == Severity::Error);
    match plan.filter(|_| diagnostics.all.is_empty()) {
        Some(plan) => plan,
        None => panic!("{}", render(&diagnostics, "contract", contract, false)),
    }
}

fn compiled(catalog: &Catalog, database: &str, contract: &str) -> (Option<Plan>, Diagnostics) {
    let (parsed, mut diagnostics) = parse(contract, false);
    let plan = parsed.and_then(|parsed| {
        let mapping = Mapping::default();
        penstock::plan::compile(&parsed, Some(catalog), database, &mapping, &mut diagnostics)
    });
    (plan, diagnostics)
}
