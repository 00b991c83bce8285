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
        let answers = Arc::clone(&daemon.answers);
        self.watch(tell(Arc::clone(notify), answers, daemon.vitals()));
    }

    /// A cutover has been made: nothing flows, and what serves has no parts that could die.
    pub fn rests(&mut self) {
        let Some(notify) = &self.notify else { return };
        notify.ready("cut over: nothing is read and nothing is written");
        self.watch(tell_of_rest(Arc::clone(notify)));
    }

    /// A cutover was taken back: everything is looked at as if for the first time.
    pub fn starts_again(&mut self) {
        if let Some(notify) = &self.notify {
            notify.status("starting again: the cutover was taken back");
            let notify = Arc::clone(notify);
            self.watch(tell_of_rest(notify));
        }
    }

    fn watch(&mut self, told: impl Future<Output = ()> + Send + 'static) {
        if let Some(task) = self.task.replace(tokio::spawn(told)) {
            task.abort();
        }
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
    let mut watchdog = ticks(watch_every(&notify));
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

async fn tell_of_rest(notify: Arc<Notify>) {
    let mut watchdog = ticks(watch_every(&notify));
    loop {
        watchdog.tick().await;
        notify.alive();
    }
}

/// Three chances each time.
fn watch_every(notify: &Notify) -> Duration {
    notify.watchdog.map_or(Duration::MAX / 4, |w| w / 3)
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
