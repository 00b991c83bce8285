//! Connections against servers made by hand, each of which does one thing that DynamoDB or somebody before it may do.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that treats each of its connections, numbered from 0, as told.
struct Server {
    uri: Uri,
    accepted: Arc<AtomicUsize>,
}

async fn server<F>(treat: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(treat(number, stream));
        }
    });
    Server {
        uri: format!("http://{address}/").parse().unwrap(),
        accepted,
    }
}

impl Server {
    fn connections(&self) -> Connections {
        Connections::new(&self.uri, PATIENCE).unwrap()
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Reads one request, whose body has five bytes.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    stream.read_exact(&mut vec![0; HEAD.len() + 5]).await?;
    Ok(())
}

/// One exchange, and the connection goes back where it may.
async fn post(connections: &Connections) -> Result<Reply, Broken> {
    let mut connection = connections.take().await.map_err(Broken::BeforeRequest)?;
    let (reply, reusable) = connection.exchange(HEAD, b"hello").await?;
    if reusable {
        connections.give_back(connection);
    }
    Ok(reply)
}

async fn status(connections: &Connections) -> u16 {
    match post(connections).await {
        Ok(reply) => reply.status,
        Err(_) => panic!("the exchange failed"),
    }
}

/// Time for what was sent to arrive.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn one_connection_carries_one_request_after_another() {
    let server = server(|_, mut stream| async move {
        loop {
            request(&mut stream).await?;
            // In two parts, as a network may.
            stream.write_all(&ANSWER[..20]).await?;
            a_moment().await;
            stream.write_all(&ANSWER[20..]).await?;
        }
    })
    .await;
    let connections = server.connections();
    for _ in 0..3 {
        assert_eq!(status(&connections).await, 200);
    }
    assert_eq!(server.accepted(), 1);
    let together = tokio::join!(status(&connections), status(&connections));
    assert_eq!(together, (200, 200));
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_used() {
    let server = server(|_, mut stream| async move {
        request(&mut stream).await?;
        stream.write_all(ANSWER).await
    })
    .await;
    let connections = server.connections();
    for number in 1..4 {
        assert_eq!(status(&connections).await, 200);
        assert_eq!(server.accepted(), number);
        a_moment().await;
    }
}

#[tokio::test]
async fn what_comes_unasked_is_no_answer() {
    let server = server(|number, mut stream| async move {
        request(&mut stream).await?;
        stream.write_all(ANSWER).await?;
        if number == 0 {
            // With the answer or after it: a second one that nobody asked for.
            a_moment().await;
            stream
                .write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
        request(&mut stream).await?;
        stream.write_all(ANSWER).await
    })
    .await;
    let connections = server.connections();
    assert_eq!(status(&connections).await, 200);
    a_moment().await;
    a_moment().await;
    assert_eq!(status(&connections).await, 200);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn two_answers_at_once_end_the_connection() {
    let server = server(|_, mut stream| async move {
        request(&mut stream).await?;
        stream.write_all(&[ANSWER, ANSWER].concat()).await?;
        request(&mut stream).await
    })
    .await;
    let connections = server.connections();
    assert_eq!(status(&connections).await, 200);
    assert_eq!(status(&connections).await, 200);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_from_none_at_all() {
    let server = server(|number, mut stream| async move {
        request(&mut stream).await?;
        stream
            .write_all(&ANSWER[..[0, 10, ANSWER.len() - 1][number]])
            .await
    })
    .await;
    let connections = server.connections();
    assert!(matches!(
        post(&connections).await,
        Err(Broken::BeforeAnswer(_))
    ));
    for _ in 0..2 {
        assert!(matches!(post(&connections).await, Err(Broken::InAnswer(_))));
    }
}

#[tokio::test]
async fn nobody_there_has_seen_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", free.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(free);
    let connections = Connections::new(&uri, PATIENCE).unwrap();
    assert!(matches!(
        post(&connections).await,
        Err(Broken::BeforeRequest(_))
    ));
}

#[tokio::test]
async fn a_large_request_may_be_refused_before_it_has_been_read() {
    const REFUSED: &[u8] = b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n";
    for closes in [false, true] {
        let server = server(move |_, mut stream| async move {
            stream.read_exact(&mut [0; 100]).await?;
            stream.write_all(REFUSED).await?;
            if !closes {
                std::future::pending::<()>().await;
            }
            // What is not read makes the kernel reset the connection; the answer is let out before.
            stream.shutdown().await?;
            a_moment().await;
            Ok(())
        })
        .await;
        let connections = server.connections();
        let mut connection = connections.take().await.unwrap();
        let body = vec![b'x'; 16 << 20];
        let exchange = connection.exchange(HEAD, &body);
        let ended = tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an end");
        match ended {
            Ok((reply, reusable)) => assert_eq!((reply.status, reusable), (413, false)),
            Err(_) => panic!("the answer was not seen"),
        }
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    const LENGTH: usize = 5 << 20;
    let server = server(|_, mut stream| async move {
        stream.read_exact(&mut vec![0; HEAD.len()]).await?;
        let mut body = vec![0; LENGTH];
        stream.read_exact(&mut body).await?;
        let right = body.iter().enumerate().all(|(n, byte)| *byte == n as u8);
        let status = if right { 200 } else { 400 };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await
    })
    .await;
    let body: Vec<u8> = (0..LENGTH).map(|n| n as u8).collect();
    let mut connection = server.connections().take().await.unwrap();
    match connection.exchange(HEAD, &body).await {
        Ok((reply, _)) => assert_eq!(reply.status, 200),
        Err(_) => panic!("the exchange failed"),
    }
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("../../tests/support/tls/cert.pem")).unwrap()
}

/// A server for `localhost`, with a certificate of its own.
async fn tls_server() -> Server {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../tests/support/tls/key.pem"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key.unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    server(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            loop {
                request(&mut stream).await?;
                stream.write_all(ANSWER).await?;
                stream.flush().await?;
            }
        }
    })
    .await
}

#[tokio::test]
async fn tls_is_spoken_and_verified() {
    let server = tls_server().await;
    let port = server.uri.port_u16().unwrap();
    let roots = |own: bool| {
        let mut roots = RootCertStore::empty();
        if own {
            roots.add(certificate()).unwrap();
        }
        trust_in(roots)
    };
    let uri = |host: &str| -> Uri { format!("https://{host}:{port}/").parse().unwrap() };
    let connections = Connections::trusting(&uri("localhost"), PATIENCE, || roots(true)).unwrap();
    for _ in 0..3 {
        assert_eq!(status(&connections).await, 200);
    }
    assert_eq!(server.accepted(), 1);
    // Another issuer, another name: nothing of the request is sent.
    let unknown = Connections::trusting(&uri("localhost"), PATIENCE, || roots(false)).unwrap();
    let renamed = Connections::trusting(&uri("127.0.0.1"), PATIENCE, || roots(true)).unwrap();
    for connections in [unknown, renamed] {
        assert!(matches!(
            post(&connections).await,
            Err(Broken::BeforeRequest(_))
        ));
    }
    assert_eq!(server.accepted(), 3);
}
