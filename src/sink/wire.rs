//! Requests without the SDK's machinery around each call: most of what they cost is spent there.
//!
//! The SDK's client is asked once how it would send: address, region, connection pool, credentials and limits are
//! its own, renewed by its own rules. Each request is then signed and sent directly, and its answer is judged by
//! [`super::classify`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{
    Identity, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::{Bytes, BytesMut};
use tokio::sync::OnceCell;

use super::answer::Unprocessed;
use super::classify::{Failure, broken, broken_answer, classify, late, refused, unsigned};

const WRITE: &str = "BatchWriteItem";
const PROTOCOL: &str = "DynamoDB_20120810";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const USER_AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));
/// An answer gives back at most what was sent.
const LONGEST_ANSWER: usize = 32 << 20;
/// Without a limit of the client's own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends BatchWriteItem requests as `client` would.
pub struct Wire {
    client: Client,
    route: OnceCell<Route>,
}

/// How the client would send.
struct Route {
    uri: String,
    region: String,
    connector: SharedHttpConnector,
    identities: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    /// For the identity's resolver, which takes nothing from it.
    bag: ConfigBag,
    timeout: Duration,
}

impl Wire {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            route: OnceCell::new(),
        }
    }

    /// One attempt: what DynamoDB left unprocessed.
    pub async fn send(&self, body: Bytes) -> Result<Unprocessed, Failure> {
        let (response, answer) = self.exchange(WRITE, body).await?;
        if response.status().as_u16() == 200
            && let Some(unprocessed) = Unprocessed::read(&answer)
        {
            return Ok(unprocessed);
        }
        Err(refused(WRITE, &response, &answer))
    }

    /// One attempt at any operation: the body of a good answer.
    pub async fn ask(&self, operation: &'static str, body: Bytes) -> Result<Bytes, Failure> {
        let (response, answer) = self.exchange(operation, body).await?;
        match response.status().as_u16() {
            200 => Ok(answer),
            _ => Err(refused(operation, &response, &answer)),
        }
    }

    async fn exchange(
        &self,
        operation: &'static str,
        body: Bytes,
    ) -> Result<(HttpResponse, Bytes), Failure> {
        let route = self.route.get_or_try_init(|| find(&self.client)).await?;
        match tokio::time::timeout(route.timeout, route.exchange(operation, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(late(operation)),
        }
    }
}

impl Route {
    async fn exchange(
        &self,
        operation: &str,
        body: Bytes,
    ) -> Result<(HttpResponse, Bytes), Failure> {
        let request = self
            .request(operation, body)
            .await
            .map_err(|e| unsigned(operation, &*e))?;
        let mut response = self
            .connector
            .call(request)
            .await
            .map_err(|e| broken(operation, &e))?;
        let answer = read(&mut response)
            .await
            .map_err(|e| broken_answer(operation, &*e))?;
        Ok((response, answer))
    }

    async fn request(&self, operation: &str, body: Bytes) -> Result<HttpRequest, BoxError> {
        let identity = self.identity().await?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let target = format!("{PROTOCOL}.{operation}");
        let signed = [("content-type", CONTENT_TYPE), ("x-amz-target", &target)];
        let signable = SignableRequest::new(
            "POST",
            self.uri.as_str(),
            signed.into_iter(),
            SignableBody::Bytes(&body),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let length = body.len().to_string();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(self.uri.as_str())?;
        let headers = request.headers_mut();
        for (name, value) in signed {
            headers.try_insert(name, value.to_owned())?;
        }
        headers.insert("content-length", length);
        headers.insert("user-agent", USER_AGENT);
        for (name, value) in instructions.headers() {
            headers.try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }

    async fn identity(&self) -> Result<Identity, BoxError> {
        self.identities
            .resolve_cached_identity(self.resolver.clone(), &self.components, &self.bag)
            .await
    }
}

async fn read(response: &mut HttpResponse) -> Result<Bytes, BoxError> {
    let mut body = ByteStream::new(response.take_body());
    let Some(first) = body.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    let Some(second) = body.next().await.transpose()? else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(&first[..]);
    whole.extend_from_slice(&second);
    while let Some(more) = body.next().await.transpose()? {
        whole.extend_from_slice(&more);
        if whole.len() > LONGEST_ANSWER {
            return Err("the answer does not end".into());
        }
    }
    Ok(whole.freeze())
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
        (Some(mut route), _) => {
            route.region = region.unwrap_or_default();
            Ok(route)
        }
        (None, Err(error)) => Err(classify(WRITE, error)),
        (None, Ok(_)) => Err(Failure::protocol(
            "BatchWriteItem: sent without being asked",
        )),
    }
}

/// Takes the route out of the client's hands and ends the call before anything is sent.
#[derive(Clone, Default)]
struct Probe {
    route: Arc<Mutex<Option<Route>>>,
}

impl Probe {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Route>> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(limits.as_ref().and_then(TimeoutConfig::connect_timeout));
        settings.set_read_timeout(limits.as_ref().and_then(TimeoutConfig::read_timeout));
        let resolver = components
            .auth_scheme(AuthSchemeId::from("sigv4"))
            .and_then(|scheme| scheme.identity_resolver(components))
            .ok_or("no credentials to sign with")?;
        let http = components.http_client().ok_or("no HTTP client")?;
        *self.lock() = Some(Route {
            uri: context.request().uri().to_owned(),
            region: String::new(),
            connector: http.http_connector(&settings.build(), components),
            identities: components.identity_cache(),
            resolver,
            components: components.clone(),
            bag: ConfigBag::base(),
            timeout: limits
                .and_then(|l| l.operation_attempt_timeout().or(l.operation_timeout()))
                .unwrap_or(PATIENCE),
        });
        Err("the request was only prepared".into())
    }
}
