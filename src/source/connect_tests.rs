use super::*;

fn kind_of(code: u16, message: &str) -> Kind {
    refused(&Options::default(), code, message).kind()
}

#[test]
fn server_errors_are_classified() {
    assert_eq!(
        kind_of(1045, "Access denied for user 'x'"),
        Kind::SourceDenied
    );
    assert_eq!(kind_of(1049, "Unknown database 'x'"), Kind::Usage);
    assert_eq!(
        kind_of(1227, "Access denied; you need REPLICATION SLAVE"),
        Kind::SourceDenied
    );
    assert_eq!(
        kind_of(3159, "Connections using insecure transport are prohibited"),
        Kind::SourceSettings
    );
    assert_eq!(
        kind_of(1053, "Server shutdown in progress"),
        Kind::SourceUnavailable
    );
    assert_eq!(
        kind_of(1040, "Too many connections"),
        Kind::SourceUnavailable
    );
}

#[test]
fn the_ends_of_a_dump_are_told_apart() {
    for (message, kind) in [
        (
            "Cannot replicate because the source purged required binary logs.",
            Kind::SourcePurged,
        ),
        (
            "Could not find first log file name in binary log index file",
            Kind::SourcePurged,
        ),
        (
            "A replica with the same server_uuid/server_id as this replica has connected to the source",
            Kind::ServerIdTaken,
        ),
        (
            "A slave with the same server_uuid/server_id as this slave has connected to the master",
            Kind::ServerIdTaken,
        ),
        (
            "Replica has more GTIDs than the source has, using the source's SERVER_UUID.",
            Kind::LineageDiffers,
        ),
        (
            "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source",
            Kind::EventUnreadable,
        ),
        ("Binary log is not open", Kind::SourceSettings),
        ("something else", Kind::SourceUnavailable),
    ] {
        assert_eq!(kind_of(1236, message), kind, "{message}");
    }
}

#[tokio::test]
async fn a_closed_port_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let options = Options {
        port,
        ..Options::default()
    };
    let error = connect(&options).await.expect_err("closed");
    assert_eq!(error.kind(), Kind::SourceUnavailable);
    assert!(error.message().contains("nothing listens"), "{error}");
}
