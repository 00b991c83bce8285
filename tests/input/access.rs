//! What an account may not, a password that is wrong, and TLS that is not there.

use mysql_async::prelude::Queryable;

use super::{equal, fails, filled, make_table, text, things};
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;

/// A daemon that logs in as a user of its own, with TLS; the name is unique on the server.
async fn as_user(database: &Database<'_>, target: &Target, rights: &[String]) -> (Daemon, String) {
    let user = format!("few_{}", fastrand::u32(..));
    let create = format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'right'");
    database.run(&[create.as_str()]).await;
    for right in rights {
        let grant = format!("GRANT {right} TO '{user}'@'%'");
        database.run(&[grant.as_str()]).await;
    }
    let mut daemon = Daemon::new(database, target, &things());
    std::fs::write(daemon.path().join("password"), "right\n").expect("the password");
    daemon
        .set("source", "user", &format!("\"{user}\""))
        .set("source", "password_file", "\"password\"")
        .set("source", "tls", "\"required\"")
        .set("metrics", "listen", "\"127.0.0.1:0\"");
    (daemon, user)
}

/// The statements that `check` prints for this user.
fn cures(told: &str) -> Vec<String> {
    told.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("GRANT "))
        .map(str::to_owned)
        .collect()
}

/// One check tells all grants that are missing; executed, they suffice for everything.
#[tokio::test]
async fn the_grants_that_check_prints_suffice() {
    let server = Server::shared();
    let database = filled(server, 10).await;
    let db = &database.name;
    for rights in [
        vec![],
        vec!["REPLICATION SLAVE ON *.*".to_owned()],
        vec![
            format!("INSERT ON {db}.*"),
            "REPLICATION CLIENT ON *.*".to_owned(),
        ],
        vec![
            format!("SELECT ON {db}.others"),
            "XA_RECOVER_ADMIN ON *.*".to_owned(),
        ],
    ] {
        database
            .run(&["CREATE TABLE IF NOT EXISTS others (id INT PRIMARY KEY)"])
            .await;
        let target = Target::dynoxide();
        make_table(&target).await;
        let (mut daemon, user) = as_user(&database, &target, &rights).await;
        let told = fails(&mut daemon, &["check"], 1, &["GRANT SELECT ON", &user]);
        fails(&mut daemon, &["run"], 1, &["GRANT SELECT ON"]);
        fails(&mut daemon, &["explain"], 1, &["GRANT SELECT ON"]);
        let mut root = server.conn(None).await;
        for cure in cures(&told) {
            root.query_drop(&cure)
                .await
                .unwrap_or_else(|e| panic!("{cure}: {e}"));
        }
        let output = daemon.command(&["check"]);
        let told = text(&output);
        assert!(output.status.success(), "{rights:?}: {told}");
        assert!(!told.contains("GRANT"), "{rights:?}: {told}");
        let output = daemon.command(&["run", "--until-caught-up"]);
        assert!(output.status.success(), "{}", text(&output));
        equal(&database, &target).await;
        root.query_drop(format!("DROP USER '{user}'@'%'"))
            .await
            .expect("a user dropped");
    }
}

#[tokio::test]
async fn wrong_passwords_users_and_databases_are_told() {
    let database = filled(Server::shared(), 3).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let all = ["ALL ON *.*".to_owned()];
    let (mut daemon, user) = as_user(&database, &target, &all).await;
    std::fs::write(daemon.path().join("password"), "wrong-password\n").expect("it");
    for command in [["check"], ["run"], ["explain"], ["provision"]] {
        let told = fails(&mut daemon, &command, 1, &["1045", &user, "password_file"]);
        assert!(!told.contains("wrong-password"), "{told}");
    }
    std::fs::write(daemon.path().join("password"), "right\n").expect("it");
    daemon.set("source", "database", "\"nowhere\"");
    fails(
        &mut daemon,
        &["check"],
        1,
        &["nowhere", "[source] database"],
    );
    fails(&mut daemon, &["run"], 2, &["nowhere", "[source] database"]);
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = Server::start(&["--tls-version="]);
    let database = filled(&server, 3).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.set("metrics", "listen", "\"127.0.0.1:0\"");
    for tls in ["required", "verify-ca", "verify-identity"] {
        daemon.set("source", "tls", &format!("\"{tls}\""));
        for command in [["check"], ["run"]] {
            fails(
                &mut daemon,
                &command,
                1,
                &["offers no TLS", "ssl_cert", "[source] tls"],
            );
        }
    }
    for tls in ["preferred", "disabled"] {
        daemon.set("source", "tls", &format!("\"{tls}\""));
        let output = daemon.command(&["run", "--until-caught-up"]);
        assert!(output.status.success(), "{}", text(&output));
    }
    equal(&database, &target).await;
}
