//! The rows of the lists.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::policy::{Verdict, as_text, printable, shortened};

use super::super::places::Request;
use super::super::screen::{Moment, Screen, View};
use super::{Paint, put, rule, take_top};

/// A name has this much room before anything else has any.
const NAME: usize = 44;

/// Below this width the countdown has no more room than it needs.
const NARROW: u16 = 40;

/// The requests, each with its countdown.
pub(super) fn waiting(
    buffer: &mut Buffer,
    mut area: Rect,
    screen: &mut Screen,
    paint: Paint,
    now: Moment,
) {
    let count = screen.sessions.waiting();
    let shown = screen.waiting.rows().len();
    let mut title = format!("Waiting: {count}");
    if !screen.marked.is_empty() {
        title.push_str(&format!(", {} marked", screen.marked.len()));
    }
    if shown < count {
        title.push_str(&format!(", {shown} shown"));
    }
    heading(
        buffer,
        take_top(&mut area, 1),
        screen,
        View::Waiting,
        title,
        paint,
    );
    if shown == 0 {
        let empty = Line::styled("  nothing waits for you", paint.dim());
        return put(buffer, area, 0, &empty);
    }
    let several = screen.sessions.all().len() > 1;
    let selected = screen.waiting.at();
    let (first, places) = screen.waiting.window(usize::from(area.height));
    let places = places.to_vec();
    for (row, place) in places.iter().enumerate() {
        let (sight, request) = screen.request(place);
        let id = sight.record.id;
        let domain = request.domain().to_owned();
        let like = screen.looks_like(id, &domain).map(str::to_owned);
        let (sight, request) = screen.request(place);
        let is_selected = first + row == selected;
        let marked = screen.marked.contains(&(id, request.id().to_owned()));
        let left = match request {
            Request::Waiting(one) => clock(one.seconds_left(now.time)),
            Request::Missed(_) => "missed".to_owned(),
        };
        let mut line = Line::from(vec![
            Span::raw(if is_selected { ">" } else { " " }),
            Span::styled(if marked { "*" } else { " " }, paint.accent()),
            Span::styled(if like.is_some() { "!" } else { " " }, paint.bad()),
            Span::raw(match area.width {
                0..NARROW => format!("{left:>4} "),
                _ => format!("{left:>5}  "),
            }),
        ]);
        let mut extras = Vec::new();
        if let Some(like) = like {
            let like = format!("  looks like {}", printable(&like));
            extras.push(Span::styled(like, paint.bad()));
        }
        if let Some(text) = as_text(&domain) {
            extras.push(Span::raw(format!("  ({text})")));
        }
        if let Request::Waiting(one) = request {
            if let Some(service) = &one.service {
                extras.push(Span::raw(format!("  {}", printable(service))));
            }
            extras.push(Span::raw(match one.waiting {
                0 => "  gave up".to_owned(),
                waiting => format!("  {waiting} waiting"),
            }));
        }
        if several {
            let name = format!("  {}", printable(&sight.record.name));
            extras.push(Span::styled(name, paint.dim()));
        }
        named(&mut line, request, extras, area.width, paint);
        put_row(
            buffer,
            area,
            row,
            line,
            is_selected && screen.view == View::Waiting,
        );
    }
}

/// The name with its port, what somebody registered of it in bold, and as many of the extras as
/// there is room for.
fn named<'l>(
    line: &mut Line<'l>,
    request: Request<'_>,
    extras: Vec<Span<'l>>,
    width: u16,
    paint: Paint,
) {
    let domain = printable(request.domain());
    let port = format!(":{}", request.port());
    let brackets = if domain.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    let taken = line.width() + port.len() + 2 * brackets.0.len();
    let mut room = usize::from(width).saturating_sub(taken);
    let needed = domain.len().min(NAME);
    let mut behind = Vec::new();
    for extra in extras {
        if room >= needed + extra.width() {
            room -= extra.width();
            behind.push(extra);
        }
    }
    let group = request.group();
    let shown = shortened(&domain, &group, room).into_owned();
    let registered = if shown.ends_with(&group) {
        group.len()
    } else {
        shown.len()
    };
    let (before, registered) = shown.split_at(shown.len() - registered);
    line.push_span(Span::raw(brackets.0));
    line.push_span(Span::styled(before.to_owned(), paint.dim()));
    line.push_span(Span::styled(
        registered.to_owned(),
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
    ));
    line.push_span(Span::raw(format!("{}{port}", brackets.1)));
    for extra in behind {
        line.push_span(extra);
    }
}

/// The decisions, the newest at the bottom.
pub(super) fn log(buffer: &mut Buffer, mut area: Rect, screen: &mut Screen, paint: Paint) {
    let rows = screen.log.rows().len();
    let follows = match screen.follow {
        true => "follows".to_owned(),
        false => format!("{} of {rows}; > follows", screen.log.at() + 1),
    };
    let title = format!("Log (UTC): {rows} lines, {follows}");
    heading(
        buffer,
        take_top(&mut area, 1),
        screen,
        View::Log,
        title,
        paint,
    );
    let several = screen.sessions.all().len() > 1;
    let selected = screen.log.at();
    let (first, lines) = screen.log.window(usize::from(area.height));
    let lines = lines.to_vec();
    for (row, at) in lines.iter().enumerate() {
        let entry = screen.line(*at);
        let is_selected = first + row == selected && screen.view == View::Log;
        let (word, style) = verdict(entry.entry.verdict, paint);
        let mut line = Line::from(vec![
            Span::raw(if is_selected { "> " } else { "  " }),
            Span::styled(time_of_day(&entry.entry.time), paint.dim()),
            Span::styled(format!("  {word:<5}  "), style),
            Span::raw(entry.target()),
            Span::raw(format!("  {}", entry.entry.reason)),
        ]);
        if entry.count > 1 {
            let count = format!("  {} times", entry.count);
            line.push_span(Span::styled(count, paint.accent()));
        }
        if several {
            let name = format!("  {}", printable(&entry.name));
            line.push_span(Span::styled(name, paint.dim()));
        }
        if let Some(detail) = &entry.entry.detail {
            let detail = format!("  {}", printable(detail));
            line.push_span(Span::styled(detail, paint.dim()));
        }
        put_row(buffer, area, row, line, is_selected);
    }
}

/// The rules of every session.
pub(super) fn rules(buffer: &mut Buffer, mut area: Rect, screen: &mut Screen, paint: Paint) {
    let title = format!("Rules: {}", screen.rules.rows().len());
    heading(
        buffer,
        take_top(&mut area, 1),
        screen,
        View::Rules,
        title,
        paint,
    );
    let several = screen.sessions.all().len() > 1;
    let selected = screen.rules.at();
    let (first, places) = screen.rules.window(usize::from(area.height));
    let places = places.to_vec();
    for (row, place) in places.iter().enumerate() {
        let (sight, rule) = screen.rule(place);
        let is_selected = first + row == selected;
        let (word, style) = verdict(rule.verdict, paint);
        let mut line = Line::from(vec![
            Span::raw(if is_selected { "> " } else { "  " }),
            Span::styled(format!("{word:<5}  "), style),
            Span::raw(printable(&rule.entry)),
            Span::raw(format!("  {}, {}", rule.origin, rule.scope)),
        ]);
        if let Some(end) = &rule.expires_at {
            line.push_span(Span::raw(format!("  until {}", printable(end))));
        }
        if several {
            let name = format!("  {}", printable(&sight.record.name));
            line.push_span(Span::styled(name, paint.dim()));
        }
        put_row(buffer, area, row, line, is_selected);
    }
}

fn heading(
    buffer: &mut Buffer,
    area: Rect,
    screen: &Screen,
    view: View,
    title: String,
    paint: Paint,
) {
    let style = match screen.view == view {
        true => paint.accent(),
        false => paint.dim(),
    };
    let mut line = Line::styled(format!("{title} "), style);
    rule(&mut line, area.width);
    put(buffer, area, 0, &line);
}

fn put_row(buffer: &mut Buffer, area: Rect, row: usize, line: Line<'_>, selected: bool) {
    let Ok(row) = u16::try_from(row) else { return };
    put(buffer, area, row, &line);
    if selected && row < area.height {
        let row = Rect {
            y: area.y + row,
            height: 1,
            ..area
        };
        buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
    }
}

fn verdict(verdict: Verdict, paint: Paint) -> (&'static str, Style) {
    match verdict {
        Verdict::Allow => ("allow", paint.good()),
        Verdict::Deny => ("deny", paint.bad()),
    }
}

/// What is left, in no more than five characters.
fn clock(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..6000 => format!("{}:{:02}", seconds / 60, seconds % 60),
        6000..360_000 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The part of an RFC 3339 time that is a clock's.
fn time_of_day(time: &str) -> String {
    let clock = time.get(11..19).unwrap_or(time);
    printable(clock).into_owned()
}
