//! How many questions the sandbox may ask. Each transport has a limit of its own, so that a flood
//! over UDP leaves room over TCP.
//!
//! What is beyond it is not judged and leaves no line each: made-up names must not push everything
//! else out of the log, nor keep the resolvers outside busy.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Questions of a transport in a second: more than any tool that was tried asks for long.
const A_SECOND: u64 = 500;
/// And so many at once, where few were asked before.
const AT_ONCE: u64 = 1000;
/// What one question takes of the time, in nanoseconds.
const ONE: u64 = 1_000_000_000 / A_SECOND;

/// The limit of a session, and how often it was reached.
pub(in crate::proxy) struct Limit {
    udp: Pace,
    tcp: Pace,
    turned_away: AtomicU64,
    delayed: AtomicU64,
}

impl Limit {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            udp: Pace::new(now),
            tcp: Pace::new(now),
            turned_away: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
        }
    }

    /// Questions over UDP that were told to come back over TCP.
    pub(in crate::proxy) fn turned_away(&self) -> u64 {
        self.turned_away.load(Relaxed)
    }

    /// Questions over TCP that had to wait for their turn.
    pub(in crate::proxy) fn delayed(&self) -> u64 {
        self.delayed.load(Relaxed)
    }

    /// Whether a question over UDP is answered now.
    pub(in crate::proxy) fn takes_over_udp(&self) -> bool {
        let takes = self.udp.take(Instant::now());
        if !takes {
            self.turned_away.fetch_add(1, Relaxed);
        }
        takes
    }

    /// When it is the turn of a question over TCP, if that is not now. A connection asks one at a
    /// time, so that each waits for as many turns as there are connections, and no more.
    pub(in crate::proxy) fn turn_over_tcp(&self) -> Option<Instant> {
        let turn = self.tcp.turn(Instant::now());
        if turn.is_some() {
            self.delayed.fetch_add(1, Relaxed);
        }
        turn
    }
}

/// A bucket of tokens, as one number that needs no lock: the moment until which all that was taken
/// is paid for (the generic cell rate algorithm, ITU-T I.371).
struct Pace {
    began: Instant,
    /// Nanoseconds since then.
    paid_until: AtomicU64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            paid_until: AtomicU64::new(0),
        }
    }

    /// Takes a token, if there is one.
    fn take(&self, now: Instant) -> bool {
        let now = self.since(now);
        let taken = self.paid_until.fetch_update(Relaxed, Relaxed, |until| {
            let until = until.max(now) + ONE;
            (until <= now + AT_ONCE * ONE).then_some(until)
        });
        taken.is_ok()
    }

    /// Takes the next token there will be, and says when that is, if it is not now.
    fn turn(&self, now: Instant) -> Option<Instant> {
        let since = self.since(now);
        let until = self
            .paid_until
            .fetch_update(Relaxed, Relaxed, |until| Some(until.max(since) + ONE));
        let until = until.unwrap_or_else(|until| until).max(since) + ONE;
        let wait = until.saturating_sub(since + AT_ONCE * ONE);
        (wait > 0).then(|| now + Duration::from_nanos(wait))
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from((now - self.began).as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_taken_at_once_and_then_one_for_each_part_of_a_second() {
        let began = Instant::now();
        let pace = Pace::new(began);
        for now in [began, began + Duration::from_secs(3600)] {
            let taken = (0..2 * AT_ONCE).filter(|_| pace.take(now)).count();
            assert_eq!(taken as u64, AT_ONCE);
            let later = now + Duration::from_nanos(10 * ONE);
            assert_eq!((0..20).filter(|_| pace.take(later)).count(), 10);
        }
    }

    #[test]
    fn turns_come_one_behind_the_other() {
        let began = Instant::now();
        let pace = Pace::new(began);
        for _ in 0..AT_ONCE {
            assert_eq!(pace.turn(began), None);
        }
        for number in 1..=3 {
            let turn = pace.turn(began);
            assert_eq!(turn, Some(began + Duration::from_nanos(number * ONE)));
        }
        // Whoever comes when they are over does not wait.
        assert_eq!(pace.turn(began + Duration::from_nanos(4 * ONE)), None);
    }
}
