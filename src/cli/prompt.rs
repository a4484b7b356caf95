//! `run --prompt`: each request that waits is asked about in the terminal that runs the command,
//! and one key answers it.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::api::{DecideBody, Event, Outcome, PendingView};
use crate::client::{Client, ClientError};
use crate::launcher::{Question, Word};
use crate::policy::{Scope, Verdict, shown_target};

use super::allowed::Allowed;
use super::output::printable;
use super::pending::{seconds_left, sent, shown};
use super::requests::Requests;

/// How long a question about a question stays.
const FOLLOW_UP: Duration = Duration::from_secs(60);

/// Asks about what waits, the oldest first, until the session or the terminal has ended.
pub(super) async fn attend(client: Client, desk: mpsc::Sender<Word>) {
    let mut requests = Requests::new(&client);
    let mut prompter = Prompter {
        client: &client,
        desk,
        waiting: Vec::new(),
        passed_over: HashSet::new(),
    };
    while prompter.step(&mut requests).await.is_some() {}
}

struct Prompter<'c> {
    client: &'c Client,
    desk: mpsc::Sender<Word>,
    /// In the order they came.
    waiting: Vec<PendingView>,
    /// The person left them to another terminal, or to the clock.
    passed_over: HashSet<String>,
}

impl Prompter<'_> {
    /// Asks about the oldest request, or waits for one. `None`: nobody is there to be asked.
    async fn step(&mut self, requests: &mut Requests<'_>) -> Option<()> {
        let next = self
            .waiting
            .iter()
            .find(|request| !self.passed_over.contains(&request.id));
        let Some(request) = next.cloned() else {
            let event = requests.next().await.ok()??;
            self.note(event);
            return Some(());
        };
        let mut answer = self.ask(self.text(&request).await, keys(&request)).await?;
        let key = loop {
            tokio::select! {
                biased;
                key = &mut answer => break key,
                event = requests.next() => {
                    let event = event.ok()??;
                    if let Event::RequestRemoved(settled) = &event
                        && settled.id == request.id
                    {
                        drop(answer);
                        let said = match settled.outcome {
                            Outcome::TimedOut => "nobody decided in time; \
                                vibepit pending --missed shows it, for its next try".to_owned(),
                            outcome => format!("{outcome} by {}", printable(&settled.actor)),
                        };
                        self.tell(&request, &said).await?;
                        self.note(event);
                        return Some(());
                    }
                    self.note(event);
                }
            }
        };
        match key {
            Ok('w') => self.wildcard(&request).await,
            Ok('e') => self.preset(&request).await,
            Ok(key) if "apgod".contains(key) => self.decide(&request, plain(key)).await,
            // Left to another terminal: by its key, or because the command was interrupted.
            _ => self.pass_over(&request).await,
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::RequestAdded(request) | Event::RequestUpdated(request) => {
                match self.waiting.iter_mut().find(|one| one.id == request.id) {
                    Some(known) => *known = *request,
                    None => self.waiting.push(*request),
                }
            }
            Event::RequestRemoved(settled) => {
                self.waiting.retain(|request| request.id != settled.id);
                self.passed_over.remove(&settled.id);
            }
            Event::Reset { .. } => self.waiting.clear(),
            _ => {}
        }
    }

    /// What is asked for, by whom, and what may be answered.
    async fn text(&self, request: &PendingView) -> String {
        let look = Allowed::of(self.client).await.warning(&request.domain);
        let doors: Vec<_> = request.doors.iter().map(ToString::to_string).collect();
        let service = request
            .service
            .as_ref()
            .map_or_else(String::new, |service| format!(" ({})", printable(service)));
        let others = match self.waiting.len() {
            0 | 1 => String::new(),
            several => format!("; {} more wait", several - 1),
        };
        let wildcard = request
            .suggested_pattern
            .as_ref()
            .map_or_else(String::new, |pattern| {
                format!(" w(ildcard {})", printable(pattern))
            });
        let preset = request.presets.first().map_or_else(String::new, |preset| {
            let entries: Vec<_> = preset
                .entries
                .iter()
                .map(|entry| printable(entry))
                .collect();
            let name = printable(&preset.name);
            format!("preset {name} has it, and opens {}\n", entries.join(", "))
        });
        let whole = request.presets.first().map_or("", |_| " e(ntire preset)");
        format!(
            "\u{7}vibepit: {}{service} is asked for and waits ({}, {} waiting, {} s left{others}){look}\n\
             {preset}a(llow) p(roject) g(lobal) o(nce) d(eny){wildcard}{whole} s(kip) ",
            shown(request),
            doors.join(","),
            request.waiting,
            seconds_left(request),
        )
    }

    async fn pass_over(&mut self, request: &PendingView) -> Option<()> {
        self.passed_over.insert(request.id.clone());
        let said = format!(
            "still waits; in another terminal: vibepit approve {}",
            printable(&request.id)
        );
        self.tell(request, &said).await
    }

    /// A pattern is shown before it is meant, and one that is kept is confirmed.
    async fn wildcard(&mut self, request: &PendingView) -> Option<()> {
        let Some(pattern) = &request.suggested_pattern else {
            return Some(());
        };
        // It is asked about once more, where the answer is none.
        let Some(scope) = self.how_far(printable(pattern).into_owned()).await? else {
            return Some(());
        };
        let body = DecideBody {
            scope: Some(scope),
            pattern: Some(pattern.clone()),
            ..DecideBody::default()
        };
        self.decide(request, (Verdict::Allow, body)).await
    }

    /// All of the preset that it belongs to, which was listed with the question.
    async fn preset(&mut self, request: &PendingView) -> Option<()> {
        let Some(preset) = request.presets.first() else {
            return Some(());
        };
        let text = format!("all of {}", printable(&preset.name));
        // It is asked about once more, where the answer is none.
        let Some(scope) = self.how_far(text).await? else {
            return Some(());
        };
        let body = DecideBody {
            scope: Some(scope),
            preset: Some(preset.name.clone()),
            ..DecideBody::default()
        };
        self.decide(request, (Verdict::Allow, body)).await
    }

    /// How far an approval of `what` is to reach, if the person wants one.
    async fn how_far(&self, what: String) -> Option<Option<Scope>> {
        let text = format!("{what}: a(llow for the session) p(roject) g(lobal), s(kip) ");
        Some(match self.follow_up(text, "apgs").await? {
            Some('a') => Some(Scope::Session),
            Some('p') => Some(Scope::Project),
            Some('g') => Some(Scope::Global),
            _ => None,
        })
    }

    async fn decide(
        &mut self,
        request: &PendingView,
        (verdict, mut body): (Verdict, DecideBody),
    ) -> Option<()> {
        let mut outcome = sent(self.client, verdict, &request.id, &body).await;
        if let Err(ClientError::Fault(fault)) = &outcome
            && fault.title == "confirmation needed"
        {
            let text = format!("{}. Go on: y(es) n(o) ", printable(&fault.detail));
            if self.follow_up(text, "yn").await? != Some('y') {
                return Some(());
            }
            body.confirm_wildcard = true;
            outcome = sent(self.client, verdict, &request.id, &body).await;
        }
        // Whatever came of it, it is not asked about again.
        self.waiting.retain(|one| one.id != request.id);
        let said = match outcome {
            Ok(decided) => decided.to_string(),
            Err(error) => error.to_string(),
        };
        self.tell(request, &printable(&said)).await
    }

    async fn ask(&self, text: String, keys: String) -> Option<oneshot::Receiver<char>> {
        let (answer, receiver) = oneshot::channel();
        let question = Question { text, keys, answer };
        self.desk.send(Word::Ask(question)).await.ok()?;
        Some(receiver)
    }

    /// The key, if one came in time.
    async fn follow_up(&self, text: String, keys: &str) -> Option<Option<char>> {
        let answer = self.ask(text, keys.to_owned()).await?;
        Some(timeout(FOLLOW_UP, answer).await.ok().and_then(Result::ok))
    }

    async fn tell(&self, request: &PendingView, said: &str) -> Option<()> {
        let text = format!(
            "vibepit: {}: {said}\n",
            shown_target(&request.domain, request.port)
        );
        self.desk.send(Word::Tell(text)).await.ok()
    }
}

fn keys(request: &PendingView) -> String {
    let wildcard = request.suggested_pattern.as_ref().map_or("", |_| "w");
    let preset = request.presets.first().map_or("", |_| "e");
    format!("apgods{wildcard}{preset}")
}

fn plain(key: char) -> (Verdict, DecideBody) {
    let (verdict, scope) = match key {
        'p' => (Verdict::Allow, Some(Scope::Project)),
        'g' => (Verdict::Allow, Some(Scope::Global)),
        'o' => (Verdict::Allow, Some(Scope::Once)),
        'd' => (Verdict::Deny, None),
        _ => (Verdict::Allow, Some(Scope::Session)),
    };
    let body = DecideBody {
        scope,
        ..DecideBody::default()
    };
    (verdict, body)
}
