//! What stands beside the lists: details of what is selected, questions, and the help.

use ratatui::text::Line;

use crate::overview::Sight;
use crate::policy::{as_text, printable};

use super::super::act::{TIMES, name};
use super::super::places::Request;
use super::super::screen::{Mode, Moment, Screen, View};

/// Requests that a question lists one by one.
const LISTED: usize = 12;

/// A text with its heading.
pub(super) struct Text {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line<'static>>,
    /// The person has to answer.
    pub(super) asks: bool,
}

/// What is asked, or else the details, if they are to be seen.
pub(super) fn beside(screen: &mut Screen, now: Moment) -> Option<Text> {
    let question = question(screen);
    let asks = question.is_some();
    let (title, lines) = match question {
        Some(question) => question,
        None if screen.details => ("Details", details(screen, now)),
        None => return None,
    };
    let lines = lines.into_iter().map(Line::raw).collect();
    Some(Text { title, lines, asks })
}

fn question(screen: &Screen) -> Option<(&'static str, Vec<String>)> {
    match &screen.mode {
        Mode::Browse | Mode::Filter | Mode::Help { .. } => None,
        Mode::Time(asked) => {
            let mut lines = vec!["Allow for how long?".to_owned()];
            let times = TIMES.map(|(key, time)| format!("{key} {time}"));
            lines.push(times.join("   "));
            lines.extend(list(asked.iter().filter_map(|key| {
                let (_, request) = screen.find(key)?;
                Some(request.target())
            })));
            Some(("For a time", lines))
        }
        Mode::Wildcard(wildcard) => {
            let session = name(screen, wildcard.request.0);
            let mut lines = vec![format!(
                "Allow {} in {session}?",
                printable(&wildcard.pattern)
            )];
            lines.push(match wildcard.scope {
                None => "a until the session ends   p save for the project   g save for every \
                         session"
                    .to_owned(),
                Some(scope) => {
                    format!("It outlives this session (scope {scope}). y saves it.")
                }
            });
            lines.push(match wildcard.covers.len() {
                0 => "Of what waits it covers nothing.".to_owned(),
                1 => "Of what waits it covers 1 request:".to_owned(),
                several => format!("Of what waits it covers {several} requests:"),
            });
            lines.extend(list(wildcard.covers.iter().cloned()));
            Some(("Wildcard", lines))
        }
        Mode::Revoke { session, entry } => Some((
            "Revoke",
            vec![
                format!(
                    "Take {} back in {}?",
                    printable(entry),
                    name(screen, *session)
                ),
                "What it let through is closed. y takes it back.".to_owned(),
            ],
        )),
    }
}

/// The first of many.
fn list(mut all: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = all
        .by_ref()
        .take(LISTED)
        .map(|one| format!("  {one}"))
        .collect();
    match all.count() {
        0 => {}
        more => lines.push(format!("  and {more} more")),
    }
    lines
}

fn details(screen: &mut Screen, now: Moment) -> Vec<String> {
    match screen.view {
        View::Waiting => {
            let Some(place) = screen.waiting.selected().copied() else {
                return vec!["nothing is selected".to_owned()];
            };
            let (sight, request) = screen.request(&place);
            let (id, domain) = (sight.record.id, request.domain().to_owned());
            let like = screen.looks_like(id, &domain).map(str::to_owned);
            let (sight, request) = screen.request(&place);
            of_request(sight, request, like, now)
        }
        View::Log => match screen.log.selected() {
            Some(at) => of_line(screen.line(*at)),
            None => vec!["nothing is selected".to_owned()],
        },
        View::Rules => match screen.rules.selected() {
            Some(place) => {
                let (sight, rule) = screen.rule(place);
                let mut lines = vec![
                    format!("{} {}", rule.verdict, printable(&rule.entry)),
                    format!("from       {}, scope {}", rule.origin, rule.scope),
                    format!("decided    {} requests when it was read", rule.hits),
                ];
                if let Some(end) = &rule.expires_at {
                    lines.push(format!("until      {}", printable(end)));
                }
                lines.push(of_session(sight));
                lines.push(format!(
                    "command    vibepit revoke --session {} '{}'",
                    sight.record.id,
                    printable(&rule.entry)
                ));
                lines
            }
            None => vec!["nothing is selected".to_owned()],
        },
    }
}

fn of_request(
    sight: &Sight,
    request: Request<'_>,
    like: Option<String>,
    now: Moment,
) -> Vec<String> {
    let mut lines = vec![
        request.target(),
        format!("registered {}", printable(&request.group())),
    ];
    if let Some(text) = as_text(request.domain()) {
        lines.push(format!("as text    {text}"));
    }
    if let Some(like) = like {
        lines.push(format!("LOOKS LIKE {}, which is allowed", printable(&like)));
    }
    match request {
        Request::Waiting(one) => {
            if let Some(service) = &one.service {
                lines.push(format!("service    {}", printable(service)));
            }
            let doors: Vec<_> = one.doors.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "asked      {} times by {}, {} waiting",
                one.attempts,
                doors.join(", "),
                one.waiting
            ));
            lines.push(format!(
                "since      {}, {} s left",
                printable(&one.requested_at),
                one.seconds_left(now.time)
            ));
        }
        Request::Missed(one) => lines.push(format!(
            "missed     {} ({}, {} times); an answer is for its next try",
            printable(&one.last),
            one.reason,
            one.attempts
        )),
    }
    if let Some(pattern) = request.suggestion() {
        lines.push(format!("wildcard   {}", printable(pattern)));
    }
    lines.push(of_session(sight));
    lines.push(format!(
        "command    vibepit approve --session {} {}",
        sight.record.id,
        printable(request.id())
    ));
    lines
}

fn of_line(line: &super::super::journal::Line) -> Vec<String> {
    let entry = &line.entry;
    let mut lines = vec![
        line.target(),
        format!("verdict    {} ({})", entry.verdict, entry.reason),
        format!("when       {}", printable(&entry.time)),
        format!("door       {}", entry.door),
    ];
    if line.count > 1 {
        lines.push(format!("repeated   {} times, this is the last", line.count));
    }
    if let Some(rule) = &entry.rule {
        lines.push(format!("rule       {}", printable(rule)));
    }
    if let Some(detail) = &entry.detail {
        lines.push(format!("more       {}", printable(detail)));
    }
    lines.push(format!(
        "session    {} {}",
        printable(&line.name),
        line.key.0
    ));
    if entry.port.is_some() {
        lines.push(format!(
            "command    vibepit explain --session {} '{}'",
            line.key.0,
            line.target()
        ));
    }
    lines
}

fn of_session(sight: &Sight) -> String {
    let record = &sight.record;
    let project = record
        .project_dir
        .as_ref()
        .map(|dir| dir.display().to_string());
    let project = project.map_or_else(String::new, |dir| format!(" {}", printable(&dir)));
    format!(
        "session    {} {}{project}",
        printable(&record.name),
        record.id
    )
}

/// Every key, with the command that does the same.
pub(super) fn help() -> Vec<Line<'static>> {
    HELP.lines().map(Line::raw).collect()
}

const HELP: &str = "\
Of a request that waits, or of those that are marked:
 a      allow until the session ends     vibepit approve ID
 p      allow, saved for the project     vibepit approve --scope project ID
 g      allow, saved for all sessions    vibepit approve --scope global ID
 o      allow this once                  vibepit approve --scope once ID
 t      allow for a time (it asks)       vibepit approve --for 10m ID
 w      allow a wildcard (shown first)   vibepit approve --pattern PATTERN ID
 d      deny this once                   vibepit deny ID
 D      deny until the session ends      vibepit deny --scope session ID
 u      take the last decision back      vibepit revoke ENTRY
 space  mark, for the next answer        vibepit approve ID ID
 m      also those that were missed      vibepit pending --missed
Everywhere:
 1      what waits                       vibepit pending --watch
 2      what was decided                 vibepit logs --follow
 3      the rules; r takes one back      vibepit rules; vibepit revoke ENTRY
 j k    move, as the arrows and pages    vibepit sessions --watch
 < >    first, last; > follows the log
 Enter  details, with its command        vibepit explain TARGET
 /      only what has a text in it       vibepit logs | grep TEXT
 Esc    leave; q quits, ^Z suspends, ^L draws anew
A request that came or was selected by itself within the last half second
takes no answer, and neither keys that come at once nor pasted text decide.";
