//! What can go wrong, and how often.

use std::time::Duration;

/// Shares of requests, 0 to 1, tried in the order of the fields; at most one happens to a request.
#[derive(Debug, Clone)]
pub struct Faults {
    pub seed: u64,
    /// Refused as a whole with ProvisionedThroughputExceededException.
    pub throttle: f64,
    /// The connection is dropped and nothing is applied.
    pub reset: f64,
    /// Applied, then the connection is dropped.
    pub lost: f64,
    /// The connection is dropped, and the request is applied after up to `late_by`.
    pub late: f64,
    pub late_by: Duration,
    /// 500 InternalServerError; every second one was applied.
    pub internal: f64,
    /// A proxy's page with 503; nothing is applied.
    pub bad_gateway: f64,
    /// A page with 200.
    pub html: f64,
    /// A batch is applied in part, the rest comes back as UnprocessedItems.
    pub partial: f64,
    /// The answer waits for `slow_by`.
    pub slow: f64,
    pub slow_by: Duration,
    /// Every answer waits this long.
    pub latency: Duration,
    /// An item or key whose JSON contains this is refused with ValidationException.
    pub invalid: Option<String>,
    /// Every request is refused with this code: `ResourceNotFoundException`.
    pub refuse: Option<String>,
    /// Every request is answered by a proxy's page with this status.
    pub page: Option<u16>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            throttle: 0.0,
            reset: 0.0,
            lost: 0.0,
            late: 0.0,
            late_by: Duration::from_millis(100),
            internal: 0.0,
            bad_gateway: 0.0,
            html: 0.0,
            partial: 0.0,
            slow: 0.0,
            slow_by: Duration::from_millis(50),
            latency: Duration::ZERO,
            invalid: None,
            refuse: None,
            page: None,
        }
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Serve { slow: bool },
    Throttle,
    Reset,
    Lost,
    Late(Duration),
    Internal { applied: bool },
    BadGateway,
    Html,
    Partial,
}

impl Faults {
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Fate {
        let mut rest = rng.f64();
        let mut hit = |share: f64| {
            let is = rest < share;
            rest -= share;
            is
        };
        if hit(self.throttle) {
            Fate::Throttle
        } else if hit(self.reset) {
            Fate::Reset
        } else if hit(self.lost) {
            Fate::Lost
        } else if hit(self.late) {
            Fate::Late(self.late_by.mul_f64(rng.f64()))
        } else if hit(self.internal) {
            Fate::Internal {
                applied: rng.bool(),
            }
        } else if hit(self.bad_gateway) {
            Fate::BadGateway
        } else if hit(self.html) {
            Fate::Html
        } else if hit(self.partial) {
            Fate::Partial
        } else {
            Fate::Serve {
                slow: hit(self.slow),
            }
        }
    }
}
