//! The load generator: closed-loop clients on as many threads as there are CPUs, each thread with
//! a runtime of its own, so that clients share nothing while they are measured.

pub(crate) mod door;
pub(crate) mod http;
mod tunnel;

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::{JoinSet, LocalSet};

pub(crate) use tunnel::{Way, connect};

/// A way to a service, on which every connection is a new one.
pub(crate) trait Opens: 'static {
    async fn open(&mut self) -> io::Result<tokio::net::TcpStream>;
}

/// What is left of an operation that hangs after the end of a cell before the run is given up.
const GRACE: Duration = Duration::from_secs(30);

/// One client: it repeats its operation, the next as soon as the last is done.
pub(crate) trait Client: 'static {
    async fn operation(&mut self) -> io::Result<()>;
}

/// How many clients, for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) length: Duration,
}

/// What the clients did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Operations that were done, the last ones of every client after time included.
    pub(crate) operations: u64,
    /// Those that were done in time.
    pub(crate) in_time: u64,
    /// Those that failed, and how one did.
    pub(crate) failed: u64,
    pub(crate) failure: Option<io::Error>,
    /// Microseconds that each took, sorted.
    pub(crate) latencies: Vec<u32>,
}

/// Lets the clients run. `make` gets the number of its client.
pub(crate) fn drive<C: Client>(load: Load, make: impl Fn(usize) -> C + Sync) -> Result<Outcome> {
    let threads = std::thread::available_parallelism()?
        .get()
        .min(load.clients);
    let outcomes = std::thread::scope(|scope| {
        let make = &make;
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let clients = (thread..load.clients).step_by(threads);
                scope.spawn(move || drive_thread(clients.map(make), load.length))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join())
            .collect::<Vec<_>>()
    });
    let mut sum = Outcome::default();
    for outcome in outcomes {
        let Ok(outcome) = outcome else {
            bail!("a load generating thread panicked")
        };
        sum.add(outcome?);
    }
    sum.latencies.sort_unstable();
    if sum.failed * 100 > sum.operations {
        let failure = sum.failure.unwrap_or_else(|| io::ErrorKind::Other.into());
        bail!(
            "{} operations failed, {} were done: {failure}",
            sum.failed,
            sum.operations
        );
    }
    Ok(sum)
}

fn drive_thread<C: Client>(clients: impl Iterator<Item = C>, length: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for client in clients {
            tasks.spawn_local(repeat(client, Instant::now() + length));
        }
        let mut sum = Outcome::default();
        let all = async {
            while let Some(outcome) = tasks.join_next().await {
                sum.add(outcome?);
            }
            Ok(sum)
        };
        tokio::time::timeout(length + GRACE, all)
            .await
            .context("an operation hangs")?
    })
}

async fn repeat(mut client: impl Client, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut now = Instant::now();
    while now < end {
        let result = client.operation().await;
        let done = Instant::now();
        match result {
            Ok(()) => {
                outcome.operations += 1;
                outcome.in_time += u64::from(done <= end);
                let micros = (done - now).as_micros();
                outcome
                    .latencies
                    .push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
            Err(error) => {
                outcome.failed += 1;
                outcome.failure = Some(error);
                // A proxy that refuses everything is not to be hammered.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        now = Instant::now();
    }
    outcome
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.in_time += other.in_time;
        self.failed += other.failed;
        self.failure = other.failure.or_else(|| self.failure.take());
        self.latencies.extend(other.latencies);
    }
}
