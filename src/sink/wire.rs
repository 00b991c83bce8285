//! Requests without the SDK's machinery around each call: most of what they cost is spent there.
//!
//! The SDK's client is asked once how it would send: address, region, credentials and limits are its own, renewed by its
//! own rules. Each request is then signed and sent over connections of ours, and its answer is judged by
//! [`super::classify`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::identity::{
    ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use hyper::Uri;
use tokio::sync::OnceCell;

use super::answer::Unprocessed;
use super::classify::{self, Failure, classify};
use super::connection::{Broken, Connections, Room};
use super::reply::Reply;
use super::signature::{Signer, Subject};

const WRITE: &str = "BatchWriteItem";
const PROTOCOL: &str = "DynamoDB_20120810";
const HEADERS: &[(&str, &str)] = &[("content-type", "application/x-amz-json-1.0")];
const USER_AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));
/// Without a limit of the client's own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests as `client` would.
pub struct Wire {
    client: Client,
    route: OnceCell<Route>,
}

/// Where requests go, and how they are signed.
struct Route {
    connections: Connections,
    subject: Subject,
    credentials: Keyring,
    /// By operation. Renewed each second, and with it what the client's credentials are.
    signers: Mutex<Vec<(&'static str, Arc<Signer>)>>,
    timeout: Duration,
}

/// The client's credentials, which it keeps and renews.
struct Keyring {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    /// For the resolver, which takes nothing from it.
    bag: ConfigBag,
}

/// How the client would send.
struct Found {
    uri: String,
    credentials: Keyring,
    connect_timeout: Duration,
    timeout: Duration,
}

impl Wire {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            route: OnceCell::new(),
        }
    }

    /// One attempt at BatchWriteItem: what DynamoDB left unprocessed.
    pub(super) async fn send(&self, room: &mut Room) -> Result<Unprocessed, Failure> {
        let reply = self.exchange(WRITE, &room.body, &mut room.head).await?;
        if reply.status == 200
            && let Some(unprocessed) = Unprocessed::read(&reply.body)
        {
            return Ok(unprocessed);
        }
        Err(classify::refused(WRITE, &reply))
    }

    /// One attempt at any operation: the body of a good answer.
    pub async fn ask(&self, operation: &'static str, body: Bytes) -> Result<Bytes, Failure> {
        let reply = self.exchange(operation, &body, &mut Vec::new()).await?;
        match reply.status {
            200 => Ok(reply.body.into()),
            _ => Err(classify::refused(operation, &reply)),
        }
    }

    async fn exchange(
        &self,
        operation: &'static str,
        body: &[u8],
        head: &mut Vec<u8>,
    ) -> Result<Reply, Failure> {
        let route = self.route.get_or_try_init(|| find(&self.client)).await?;
        route.exchange(operation, body, head).await
    }
}

impl Route {
    fn new(found: Found, region: String) -> Result<Self, BoxError> {
        let uri: Uri = found.uri.parse()?;
        Ok(Self {
            connections: Connections::new(&uri, found.connect_timeout)?,
            subject: Subject::new(&uri, region, HEADERS, USER_AGENT),
            credentials: found.credentials,
            signers: Mutex::default(),
            timeout: found.timeout,
        })
    }

    async fn exchange(
        &self,
        operation: &'static str,
        body: &[u8],
        head: &mut Vec<u8>,
    ) -> Result<Reply, Failure> {
        let signer = self
            .signer(operation, SystemTime::now())
            .await
            .map_err(|e| classify::unsigned(operation, &*e))?;
        signer.write_head(body, head);
        let mut connection = self
            .connections
            .take()
            .await
            .map_err(|e| classify::not_sent(operation, &e))?;
        let exchange = connection.exchange(head, body);
        let Ok(ended) = tokio::time::timeout(self.timeout, exchange).await else {
            return Err(classify::late(operation));
        };
        let (reply, reusable) = ended.map_err(|broken| match &broken {
            Broken::BeforeRequest(error) => classify::not_sent(operation, error),
            Broken::BeforeAnswer(error) => classify::broken(operation, error),
            Broken::InAnswer(error) => classify::broken_answer(operation, error),
        })?;
        if reusable {
            self.connections.give_back(connection);
        }
        Ok(reply)
    }

    async fn signer(
        &self,
        operation: &'static str,
        now: SystemTime,
    ) -> Result<Arc<Signer>, BoxError> {
        let known =
            |(name, signer): &&(&'static str, Arc<Signer>)| *name == operation && signer.is_of(now);
        if let Some((_, signer)) = self.signers().iter().find(known) {
            return Ok(Arc::clone(signer));
        }
        let credentials = tokio::time::timeout(self.timeout, self.credentials.ask())
            .await
            .map_err(|_| "no credentials in time")??;
        let target = format!("{PROTOCOL}.{operation}");
        let signer = Arc::new(Signer::new(&self.subject, &target, &credentials, now)?);
        let mut signers = self.signers();
        signers.retain(|(name, _)| *name != operation);
        signers.push((operation, Arc::clone(&signer)));
        Ok(signer)
    }

    fn signers(&self) -> MutexGuard<'_, Vec<(&'static str, Arc<Signer>)>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keyring {
    async fn ask(&self) -> Result<Credentials, BoxError> {
        let identity = self
            .cache
            .resolve_cached_identity(self.resolver.clone(), &self.components, &self.bag)
            .await?;
        let credentials = identity.data::<Credentials>().cloned();
        credentials.ok_or_else(|| "the credentials are of another kind than AWS's".into())
    }
}

/// Lets the client prepare a request up to its signature, and takes what it would go with.
async fn find(client: &Client) -> Result<Route, Failure> {
    let probe = Probe::default();
    let prepared = client
        .batch_write_item()
        .customize()
        .interceptor(probe.clone())
        .send()
        .await;
    let found = probe.lock().take();
    let region = client.config().region().map(ToString::to_string);
    match (found, prepared) {
        (Some(found), _) => Route::new(found, region.unwrap_or_default())
            .map_err(|e| Failure::protocol(format!("{WRITE}: {e}"))),
        (None, Err(error)) => Err(classify(WRITE, error)),
        (None, Ok(_)) => Err(Failure::protocol(format!(
            "{WRITE}: sent without being asked"
        ))),
    }
}

/// Takes the route out of the client's hands and ends the call before anything is sent.
#[derive(Clone, Default)]
struct Probe {
    found: Arc<Mutex<Option<Found>>>,
}

impl Probe {
    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

#[dyn_dispatch_hint]
impl Intercept for Probe {
    fn name(&self) -> &'static str {
        "Probe"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let limits = cfg.load::<TimeoutConfig>().cloned();
        let resolver = components
            .auth_scheme(AuthSchemeId::from("sigv4"))
            .and_then(|scheme| scheme.identity_resolver(components))
            .ok_or("no credentials to sign with")?;
        *self.lock() = Some(Found {
            uri: context.request().uri().to_owned(),
            credentials: Keyring {
                cache: components.identity_cache(),
                resolver,
                components: components.clone(),
                bag: ConfigBag::base(),
            },
            connect_timeout: limits
                .as_ref()
                .and_then(TimeoutConfig::connect_timeout)
                .unwrap_or(PATIENCE),
            timeout: limits
                .and_then(|l| l.operation_attempt_timeout().or(l.operation_timeout()))
                .unwrap_or(PATIENCE),
        });
        Err("the request was only prepared".into())
    }
}
