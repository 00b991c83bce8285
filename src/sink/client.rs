//! The SDK's client, set up for us: ring for TLS, no retries of its own, bounded waits.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Where DynamoDB is.
#[derive(Debug, Clone)]
pub struct Target {
    /// A URL, or `None` for AWS in `region`.
    pub endpoint_url: Option<String>,
    /// `None`: what the environment or the AWS profile says.
    pub region: Option<String>,
    pub connect_timeout: Duration,
    /// For a whole request. After it the outcome is unknown.
    pub request_timeout: Duration,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            endpoint_url: None,
            region: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// A client for `target`. Connects to nothing yet; without a region anywhere it is `us-east-1` for a custom endpoint.
pub async fn connect(target: &Target) -> Client {
    let plain = target
        .endpoint_url
        .as_deref()
        .is_some_and(|url| url.starts_with("http://"));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(plain))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(target.connect_timeout)
                .operation_attempt_timeout(target.request_timeout)
                .operation_timeout(target.request_timeout)
                .build(),
        );
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &target.endpoint_url {
        loader = loader.endpoint_url(url);
        if is_local(url) {
            if target.region.is_none() && !region_in_environment() {
                loader = loader.region(Region::from_static("us-east-1"));
            }
            if !credentials_in_environment() {
                // Local servers want a signature and do not look at it.
                loader = loader.credentials_provider(Credentials::new(
                    "penstock", "penstock", None, None, "penstock",
                ));
            }
        }
    }
    Client::new(&loader.load().await)
}

/// The same client with the SDK's own retries: for calls that read or provision, never for writes of items. The limits
/// are for each attempt then: one that is late is followed by another.
pub(super) fn with_retries(client: &Client) -> Client {
    let config = client.config();
    let limits = config.timeout_config().cloned();
    let limits = limits.map_or_else(TimeoutConfig::builder, |limits| limits.to_builder());
    let config = config
        .to_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(6))
        .timeout_config(limits.disable_operation_timeout().build())
        .build();
    Client::from_conf(config)
}

fn http_client(plain: bool) -> SharedHttpClient {
    if plain {
        // Spares reading the system's certificates.
        return Builder::new().build_http();
    }
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// An endpoint that is not AWS; a VPC endpoint's URL is AWS.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let host = host.to_ascii_lowercase();
    ![".amazonaws.com", ".amazonaws.com.cn", ".aws"]
        .iter()
        .any(|suffix| host.ends_with(suffix))
}

fn region_in_environment() -> bool {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .any(|name| is_set(name))
}

/// Whether the AWS credential chain has something to find before it would ask the network.
fn credentials_in_environment() -> bool {
    const NAMES: &[&str] = &[
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    NAMES.iter().any(|name| is_set(name))
        || std::env::home_dir().is_some_and(|home| home.join(".aws/credentials").is_file())
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_aws_is_local() {
        assert!(is_local("http://127.0.0.1:8000"));
        assert!(is_local("http://dynamodb.example.com/x.amazonaws.com"));
        assert!(!is_local("https://dynamodb.eu-west-1.amazonaws.com"));
        assert!(!is_local(
            "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com:443/"
        ));
    }
}
