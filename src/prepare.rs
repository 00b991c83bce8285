//! From settings to a plan: the contract read, MySQL looked at, both compiled together. What `check`, `explain`,
//! `provision` and `run` have in common.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use crate::config::Settings;
use crate::contract::model::{Calculation, Entity, Join, TableKind, Text};
use crate::contract::{self, Contract, Diagnostics};
use crate::error::{Error, Kind, Result};
use crate::plan::{self, Mapping, Plan};
use crate::schema::{Catalog, TableName};
use crate::source::connect::connect;
use crate::source::preflight::{self, Finding, ServerFacts, Severity};
use crate::source::{self, catalog};

/// A contract as read, with everything that was found wrong with it so far.
pub struct Read {
    /// As the settings name it.
    pub file: String,
    pub text: String,
    pub contract: Option<Contract>,
    pub diagnostics: Diagnostics,
}

/// What MySQL is and has.
pub struct Looked {
    pub facts: ServerFacts,
    pub findings: Vec<Finding>,
    pub catalog: Catalog,
    /// The account may not read a table of the contract: the catalog does not tell then what there is.
    pub denied: bool,
}

impl Looked {
    /// The tables, where they can be told.
    fn tables(&self) -> Option<&Catalog> {
        (!self.denied).then_some(&self.catalog)
    }

    /// An error with the grants that are missing, where tables cannot be read.
    pub fn readable(&self) -> Result<()> {
        match self.denied {
            true => refuse_server(&self.findings),
            false => Ok(()),
        }
    }
}

/// Everything that a running daemon needs to know.
pub struct Prepared {
    pub plan: Arc<Plan>,
    pub catalog: Catalog,
    pub facts: ServerFacts,
}

/// Reads the contract and checks its shape.
///
/// # Errors
/// `Usage` where the file cannot be read. What is wrong inside is in the diagnostics.
pub fn read(settings: &Settings, strict: bool) -> Result<Read> {
    let path = &settings.contract;
    let unreadable = |e: std::io::Error| {
        Error::new(
            Kind::Usage,
            format!("the contract {} cannot be read", path.display()),
        )
        .with_source(e)
        .with_remedy("name the file in [contract] path")
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        // A pipe would be waited for, and a device may never end.
        let what = if meta.is_dir() {
            "a directory"
        } else {
            "not a file"
        };
        return Err(Error::new(
            Kind::Usage,
            format!("the contract {} is {what}", path.display()),
        )
        .with_remedy("name the file in [contract] path"));
    }
    let most = contract::MAX_BYTES as u64;
    let mut bytes = Vec::new();
    if meta.len() <= most {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        // One byte more tells a file that has grown meanwhile.
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    if meta.len().max(bytes.len() as u64) > most {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the contract {} has {} MB; at most {} MB are read",
                path.display(),
                meta.len() >> 20,
                most >> 20
            ),
        )
        .with_remedy("[contract] path names another file than a contract"));
    }
    let (contract, diagnostics) = contract::parse_bytes(&bytes, strict);
    Ok(Read {
        file: path.display().to_string(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        contract,
        diagnostics,
    })
}

impl Read {
    /// Looks at MySQL for `contract`, the one that was read; where that fails, what is wrong with the contract without
    /// MySQL is told first.
    pub async fn look(&self, settings: &Settings, contract: &Contract) -> Result<Looked> {
        match look(settings, contract).await {
            Ok(looked) => Ok(looked),
            Err(error) => Err(self.verdict().err().unwrap_or(error)),
        }
    }

    /// Compiles the contract against `looked` (or against nothing), and adds what is found to the diagnostics.
    pub fn compile(&mut self, settings: &Settings, looked: Option<&Looked>) -> Option<Plan> {
        let contract = self.contract.as_ref()?;
        let mapping = Mapping {
            write_nulls: settings.mapping.write_nulls,
            table_prefix: settings.target.table_prefix.clone(),
            preserve: settings.mapping.preserve.clone(),
        };
        plan::compile(
            contract,
            looked.and_then(Looked::tables),
            &settings.source.database,
            &mapping,
            &mut self.diagnostics,
        )
    }

    /// The diagnostics as a compiler shows them.
    pub fn rendered(&self, color: bool) -> String {
        contract::render(&self.diagnostics, &self.file, &self.text, color)
    }

    /// An error with all diagnostics, where there is an error among them.
    pub fn verdict(&self) -> Result<()> {
        if !self.diagnostics.has_errors() {
            return Ok(());
        }
        let color = crate::terminal::colors(&std::io::stderr());
        Err(Error::new(
            Kind::Usage,
            format!(
                "the contract cannot be used\n\n{}",
                self.rendered(color).trim_end()
            ),
        )
        .with_remedy("correct the contract where the messages say so"))
    }
}

/// Connects, checks the server, and reads the tables that the contract may mean.
pub async fn look(settings: &Settings, contract: &Contract) -> Result<Looked> {
    let options = source_options(settings);
    // Whether the account may use the database is one of the findings, so that all that is missing is told at once.
    let mut conn = connect(&source::Options {
        database: None,
        ..options.clone()
    })
    .await?;
    let databases: Vec<String> = databases(contract, &settings.source.database)
        .into_iter()
        .collect();
    let mut catalog = catalog::load(&options, &mut conn, &databases).await?;
    let tables = driving_tables(contract, &settings.source.database, &catalog);
    let (facts, findings) =
        preflight::preflight(&options, &mut conn, &tables, server_id(settings, &options)).await?;
    catalog.hides_cascades = !facts.logs_cascades;
    // A connection that does not close cleanly changes nothing.
    let _ = conn.disconnect().await;
    let denied = findings
        .iter()
        .any(|f| f.what.starts_with(preflight::SELECT));
    Ok(Looked {
        denied,
        facts,
        findings,
        catalog,
    })
}

/// Everything for a run, or all the reasons why there can be none.
pub async fn online(settings: &Settings) -> Result<Prepared> {
    let mut read = read(settings, false)?;
    let Some(contract) = &read.contract else {
        read.verdict()?;
        return Err(Error::new(Kind::Internal, "a contract without a reason"));
    };
    let looked = read.look(settings, contract).await?;
    looked.readable()?;
    let plan = read.compile(settings, Some(&looked));
    read.verdict()?;
    refuse_server(&looked.findings)?;
    let Some(plan) = plan else {
        return Err(Error::new(Kind::Internal, "a plan without a reason"));
    };
    let warnings = read.diagnostics.all.len();
    if warnings > 0 {
        tracing::info!(
            warnings,
            "the contract has warnings: `penstock check` shows them"
        );
    }
    for finding in looked.findings {
        match finding.severity {
            Severity::Note => {
                tracing::info!(
                    what = finding.what,
                    found = finding.found,
                    "MySQL: {}",
                    finding.why
                );
            }
            Severity::Warning | Severity::Error => {
                tracing::warn!(
                    what = finding.what,
                    found = finding.found,
                    "MySQL: {}",
                    finding.why
                );
            }
        }
    }
    Ok(Prepared {
        plan: Arc::new(plan),
        catalog: looked.catalog,
        facts: looked.facts,
    })
}

/// The settings' `[source]` as the source module wants it.
pub fn source_options(settings: &Settings) -> source::Options {
    let from = &settings.source;
    source::Options {
        host: from.host.clone(),
        port: from.port,
        user: from.user.clone(),
        password: from
            .password
            .as_ref()
            .map(|p| source::Secret::new(p.expose()))
            .unwrap_or_default(),
        database: Some(from.database.clone()),
        tls: match from.tls {
            crate::config::Tls::Disabled => source::TlsMode::Disabled,
            crate::config::Tls::Preferred => source::TlsMode::Preferred,
            crate::config::Tls::Required => source::TlsMode::Required,
            crate::config::Tls::VerifyCa => source::TlsMode::VerifyCa,
            crate::config::Tls::VerifyIdentity => source::TlsMode::VerifyIdentity,
        },
        tls_ca: from.tls_ca.clone(),
        server_id: from.server_id,
        ..source::Options::default()
    }
}

/// The `server_id` of this installation: configured, or derived from its state directory.
pub fn server_id(settings: &Settings, options: &source::Options) -> u32 {
    options.effective_server_id(&settings.state.to_string_lossy())
}

fn refuse_server(findings: &[Finding]) -> Result<()> {
    let errors: Vec<String> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| {
            let cure = f.cure_sql.as_deref().unwrap_or("");
            format!(
                "  {} is {}: {}\n    {}",
                f.what,
                f.found,
                f.why,
                cure.replace('\n', "\n    ")
            )
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::SourceSettings,
        format!("MySQL is not ready for replication\n{}", errors.join("\n")),
    )
    .with_remedy(
        "cure each as it says, SQL as an administrator; `penstock check` looks at everything again",
    ))
}

/// The databases whose tables the contract may mean.
fn databases(contract: &Contract, default: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([default.to_owned()]);
    for entity in entities(contract) {
        for name in table_names(entity) {
            let meant = plan::candidates(&name.value, default);
            found.extend(meant.into_iter().map(|name| name.database));
        }
    }
    found
}

fn driving_tables(contract: &Contract, default: &str, catalog: &Catalog) -> Vec<TableName> {
    let names: BTreeSet<TableName> = entities(contract)
        .flat_map(|e| {
            let mut meant = plan::candidates(&e.source_table.value, default);
            let last = meant.pop();
            meant.retain(|name| catalog.tables.contains_key(name));
            // One that cannot be seen may be there: only the attempt to read it tells why not.
            meant.extend(last.filter(|l| meant.is_empty() || catalog.tables.contains_key(l)));
            meant
        })
        .collect();
    names.into_iter().collect()
}

fn entities(contract: &Contract) -> impl Iterator<Item = &Entity> {
    let tables = contract.tables.iter().chain(&contract.broken);
    tables.flat_map(|table| match &table.kind {
        TableKind::Single(entity) => std::slice::from_ref(entity),
        TableKind::Multi(entities) => entities.as_slice(),
    })
}

/// Every table that an entity names.
fn table_names(entity: &Entity) -> Vec<&Text> {
    let mut names = vec![&entity.source_table];
    for attribute in &entity.attributes {
        names.extend(&attribute.source_table);
        match attribute.join.as_ref().map(|j| &j.value) {
            Some(
                Join::ToOne { target_table, .. }
                | Join::Conditional { target_table, .. }
                | Join::Json { target_table, .. },
            ) => names.push(target_table),
            Some(Join::SelfJoin { target_table, .. }) => names.extend(target_table),
            Some(Join::Chain { hops, .. }) => names.extend(hops.iter().map(|h| &h.target_table)),
            None => {}
        }
        if let Some(Calculation::Aggregate { target_table, .. }) =
            attribute.calculation.as_ref().map(|c| &c.value)
        {
            names.push(target_table);
        }
    }
    names
}
