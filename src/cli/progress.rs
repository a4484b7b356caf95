//! What is seen of a start: steps as they come, and a bar while an image is pulled.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use crate::launcher::{Pull, Report};
use crate::session::Record;

use super::attendants::Attendants;
use super::output::{Output, printable};

/// Shows a start to a person.
pub(super) struct Progress<'a> {
    out: &'a Output,
    bar: Mutex<Option<ProgressBar>>,
    attendants: Attendants,
}

impl<'a> Progress<'a> {
    pub(super) fn new(out: &'a Output, attendants: Attendants) -> Self {
        Self {
            out,
            bar: Mutex::new(None),
            attendants,
        }
    }

    /// The session is over: those who attended it say their last word.
    pub(super) async fn end(&self) {
        self.attendants.end(self.out).await;
    }
}

/// Shows what there is to know about a command in a session that is there.
pub(super) struct Plain<'a>(pub(super) &'a Output);

impl Report for Plain<'_> {
    fn step(&self, _what: &str) {}

    fn warning(&self, what: &str) {
        self.0.warn(printable(what));
    }

    fn ready(&self, _session: &Record) {}

    fn pulling(&self, _pull: &Pull) {}
}

impl Report for Progress<'_> {
    fn step(&self, what: &str) {
        if self.out.verbose {
            self.out.note(printable(what));
        }
    }

    fn warning(&self, what: &str) {
        self.out.warn(printable(what));
    }

    fn ready(&self, session: &Record) {
        self.attendants.begin(session, self.out);
    }

    fn pulling(&self, pull: &Pull) {
        let mut bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let shown = bar.get_or_insert_with(|| {
            self.out.note(format!("pulling {}", printable(&pull.image)));
            // Draws on stderr, and not at all where that is no terminal.
            let bar = ProgressBar::new(pull.total);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")
            {
                bar.set_style(style);
            }
            bar
        });
        shown.set_length(pull.total);
        shown.set_position(pull.done);
        if pull.finished {
            shown.finish_and_clear();
            *bar = None;
        }
    }
}
