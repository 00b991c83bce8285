//! The daemon as a service: tells systemd when it serves, where it stands, that it lives, and that it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::admin::{Notify, StatusSource as _, line};
use crate::daemon::{Answers, Daemon, Vitals};

/// How often the line of state may change.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// What is told, from the first word to the last. Tells nobody where no service manager listens.
pub(super) struct Service {
    notify: Option<Arc<Notify>>,
    task: Option<JoinHandle<()>>,
}

impl Service {
    /// Before the daemon starts.
    pub fn begin() -> Self {
        let notify = Notify::from_environment().map(Arc::new);
        if let Some(notify) = &notify {
            notify.status("starting: looking at both sides and at the checkpoint");
        }
        Self { notify, task: None }
    }

    /// The daemon serves: from now on its state and its signs of life are told.
    pub fn serves(&mut self, daemon: &Daemon) {
        let Some(notify) = &self.notify else { return };
        notify.ready(&line(&daemon.answers.status()));
        self.task = Some(tokio::spawn(tell(
            Arc::clone(notify),
            Arc::clone(&daemon.answers),
            daemon.vitals(),
        )));
    }

    /// The daemon ends.
    pub fn ends(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(notify) = &self.notify {
            notify.stopping("draining: what is in flight is being written");
        }
    }
}

async fn tell(notify: Arc<Notify>, answers: Arc<Answers>, mut vitals: Vitals) {
    let mut told = String::new();
    let mut status = ticks(STATUS_EVERY);
    // Three chances each time.
    let mut watchdog = ticks(notify.watchdog.map_or(Duration::MAX / 4, |w| w / 3));
    loop {
        tokio::select! {
            _ = status.tick() => {
                let now = line(&answers.status());
                if now != told {
                    notify.status(&now);
                    told = now;
                }
            }
            _ = watchdog.tick() => match vitals.check() {
                Ok(()) => notify.alive(),
                Err(dead) => {
                    tracing::error!(dead, "the flow is dead: the watchdog is told nothing");
                    notify.status(&format!("dead: {dead}"));
                }
            },
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
