//! The screen as it is shown: only the rows that are in view are written. Whatever the sandbox
//! named is escaped on its way here, and no colour is the only sign of anything.

mod panes;
mod rows;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use crate::overview::{Link, Sight};
use crate::policy::printable;

use super::screen::{Mode, Moment, Screen, View};

/// From this width on, details stand beside the lists.
const WIDE: u16 = 120;
/// From this height on, each session has a line.
const TALL: u16 = 30;

/// How to paint: with the terminal's own sixteen colours, or with none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Whether there are colours.
    pub color: bool,
}

impl Paint {
    fn colored(self, color: Color, otherwise: Modifier) -> Style {
        match self.color {
            true => Style::new().fg(color),
            false => Style::new().add_modifier(otherwise),
        }
    }

    fn good(self) -> Style {
        self.colored(Color::Green, Modifier::empty())
    }

    fn bad(self) -> Style {
        self.colored(Color::Red, Modifier::BOLD)
    }

    fn accent(self) -> Style {
        self.colored(Color::Cyan, Modifier::BOLD)
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws the screen as it is at this moment.
pub fn draw(frame: &mut Frame<'_>, screen: &mut Screen, paint: Paint, now: Moment) {
    screen.refresh(now);
    let area = frame.area();
    let (mut body, bottom) = cut_bottom(
        area,
        match area.height {
            0..=2 => 0,
            3..=4 => 1,
            _ => 2,
        },
    );
    if let Mode::Help { top } = &mut screen.mode {
        let lines = panes::help();
        let last = lines.len().saturating_sub(usize::from(body.height));
        *top = (*top).min(u16::try_from(last).unwrap_or(u16::MAX));
        let text: Vec<Line<'_>> = lines.into_iter().skip(usize::from(*top)).collect();
        frame.render_widget(Paragraph::new(text), body);
    } else {
        header(frame.buffer_mut(), take_top(&mut body, 1), screen, paint);
        let count = u16::try_from(screen.sessions.all().len()).unwrap_or(u16::MAX);
        let lines = match area.height {
            0..12 => 0,
            12..TALL => 1,
            _ => count.clamp(1, 6),
        };
        sessions(
            frame.buffer_mut(),
            take_top(&mut body, lines),
            screen,
            paint,
        );
        panes(frame, body, screen, paint, now);
    }
    footer(frame.buffer_mut(), bottom, screen, paint);
}

/// The lists, and beside or below them what is asked or told of what is selected.
fn panes(frame: &mut Frame<'_>, mut body: Rect, screen: &mut Screen, paint: Paint, now: Moment) {
    if let Some(text) = panes::beside(screen, now) {
        let mut title = Line::styled(format!("{} ", text.title), paint.accent());
        let pane = if body.width >= WIDE {
            let (lists, pane) = cut_right(body, body.width * 2 / 5);
            body = lists;
            pane
        } else {
            let lines = u16::try_from(text.lines.len()).unwrap_or(u16::MAX);
            // A question is more than the lists, a detail is not.
            let most = match text.asks {
                true => body.height.saturating_sub(3).max(1),
                false => body.height / 2,
            };
            let (lists, pane) = cut_bottom(body, lines.saturating_add(2).min(most));
            body = lists;
            pane
        };
        let mut pane = pane;
        rule(&mut title, pane.width);
        let buffer = frame.buffer_mut();
        put(buffer, take_top(&mut pane, 1), 0, &title);
        let text = Paragraph::new(text.lines).wrap(Wrap { trim: false });
        frame.render_widget(text, pane);
    }
    let waiting = u16::try_from(screen.waiting.rows().len()).unwrap_or(u16::MAX);
    let wanted = waiting.saturating_add(1).max(2);
    let top = match screen.view {
        View::Waiting if body.height < 8 => body.height,
        View::Waiting => wanted.min(body.height * 2 / 3),
        _ if body.height < 6 => 0,
        _ => wanted.min(body.height / 3),
    };
    let buffer = frame.buffer_mut();
    rows::waiting(buffer, take_top(&mut body, top), screen, paint, now);
    match screen.view {
        View::Rules => rows::rules(buffer, body, screen, paint),
        _ => rows::log(buffer, body, screen, paint),
    }
}

fn header(buffer: &mut Buffer, area: Rect, screen: &Screen, paint: Paint) {
    let waiting = screen.sessions.waiting();
    let count = match waiting {
        0 => Span::raw("nothing waits"),
        1 => Span::styled("1 waits", paint.bad()),
        several => Span::styled(format!("{several} wait"), paint.bad()),
    };
    let mut spans = vec![
        Span::styled("vibepit ", paint.strong()),
        count,
        Span::raw("  "),
    ];
    for (at, view) in View::ALL.into_iter().enumerate() {
        let name = format!("{} {}", at + 1, view.name());
        spans.push(match view == screen.view {
            true => Span::styled(format!("[{name}]"), paint.strong()),
            false => Span::raw(format!(" {name} ")),
        });
    }
    put(buffer, area, 0, &Line::from(spans));
}

/// What runs.
fn sessions(buffer: &mut Buffer, area: Rect, screen: &Screen, paint: Paint) {
    let all = screen.sessions.all();
    if all.is_empty() {
        let hint = "no session runs; vibepit run starts one, and it appears here by itself";
        return put(buffer, area, 0, &Line::styled(hint, paint.dim()));
    }
    if area.height == 1 && all.len() > 1 {
        let mut spans = vec![Span::raw(format!("{} sessions: ", all.len()))];
        for (at, sight) in all.iter().enumerate() {
            spans.push(Span::raw(if at == 0 { "" } else { ", " }));
            spans.push(Span::raw(printable(&sight.record.name)));
            spans.extend(link(sight, paint));
        }
        return put(buffer, area, 0, &Line::from(spans));
    }
    let fit = usize::from(area.height);
    let shown = if all.len() > fit {
        fit.saturating_sub(1)
    } else {
        fit
    };
    for (at, sight) in (0..).zip(all.iter().take(shown)) {
        put(buffer, area, at, &session(sight, paint));
    }
    if let Some(more @ 1..) = all.len().checked_sub(shown) {
        let last = area.height.saturating_sub(1);
        put(buffer, area, last, &Line::raw(format!("and {more} more")));
    }
}

fn session<'s>(sight: &'s Sight, paint: Paint) -> Line<'s> {
    let record = &sight.record;
    let mut spans = vec![
        Span::styled(printable(&record.name), paint.strong()),
        Span::raw(format!("  {}", printable(&record.runtime))),
    ];
    spans.extend(link(sight, paint));
    if !sight.pending.is_empty() {
        let waiting = format!("  {} waiting", sight.pending.len());
        spans.push(Span::styled(waiting, paint.bad()));
    }
    if let Some(session) = &sight.session {
        if session.mode == "reject" {
            spans.push(Span::raw("  refuses what no rule covers"));
        }
        for warning in &session.warnings {
            let warning = format!("  warning: {}", printable(warning));
            spans.push(Span::styled(warning, paint.bad()));
        }
    }
    if let Some(project) = &record.project_dir {
        let project = project.display().to_string();
        spans.push(Span::styled(
            format!("  {}", printable(&project)),
            paint.dim(),
        ));
    }
    Line::from(spans)
}

/// How a session is reached, where that is worth a word.
fn link<'s>(sight: &Sight, paint: Paint) -> Option<Span<'s>> {
    match &sight.link {
        Link::Open => None,
        Link::Opening => Some(Span::styled(" (connecting)", paint.dim())),
        Link::Lost(why) => {
            let why = format!(" (lost, tried again: {})", printable(why));
            Some(Span::styled(why, paint.bad()))
        }
        Link::Ending(why) => {
            let why = format!(" (ends: {})", printable(why));
            Some(Span::styled(why, paint.dim()))
        }
    }
}

/// What came of the last key, and which keys there are.
fn footer(buffer: &mut Buffer, area: Rect, screen: &Screen, paint: Paint) {
    let note = match &screen.mode {
        Mode::Filter => Line::raw(format!("/{}_", printable(screen.filter()))),
        _ if !screen.note.text.is_empty() => {
            let style = match screen.note.bad {
                true => paint.bad(),
                false => paint.good(),
            };
            Line::styled(screen.note.text.as_str(), style)
        }
        _ if !screen.filter().is_empty() => Line::raw(format!(
            "only what has \"{}\"; Esc shows all",
            printable(screen.filter())
        )),
        _ => Line::default(),
    };
    let keys = keys(screen);
    let space = |line: &Line<'_>| line.width() <= usize::from(area.width);
    let keys = keys
        .into_iter()
        .find(space)
        .unwrap_or_default()
        .style(paint.dim());
    match area.height {
        0 => {}
        1 if note.width() > 0 => put(buffer, area, 0, &note),
        1 => put(buffer, area, 0, &keys),
        _ => {
            put(buffer, area, 0, &note);
            put(buffer, area, 1, &keys);
        }
    }
}

/// The keys that mean something now: in full, and shorter ones for less room.
fn keys(screen: &Screen) -> Vec<Line<'static>> {
    let lines: &[&'static str] = match (&screen.mode, screen.view) {
        (Mode::Filter, _) => &[
            "type a part of a name; Enter keeps it, Esc shows all",
            "Enter Esc",
        ],
        (Mode::Help { .. }, _) => &["j k move, Esc leaves", "j k Esc"],
        (Mode::Time(_), _) => &[
            "1 10m  2 1h  3 8h  4 1d  other keys: nothing",
            "1 2 3 4 Esc",
        ],
        (Mode::Wildcard(wildcard), _) => match wildcard.scope {
            None => &[
                "a session  p project  g global  other keys: nothing",
                "a p g Esc",
            ],
            Some(_) => &["y save it  other keys: nothing", "y Esc"],
        },
        (Mode::Revoke { .. }, _) => &["y take it back  other keys: nothing", "y Esc"],
        (Mode::Browse, View::Waiting) => &[
            "a allow (session)  p allow+save for project  g allow+save globally  o allow once  d deny \
             once  D deny (session)  w wildcard  t timed  u undo  space mark  Enter details  / filter  ? help",
            "a allow  p project  g global  o once  d deny once  D deny session  w t u  ? help",
            "a p g o d D w t u ?",
            "? help",
        ],
        (Mode::Browse, View::Log) => &[
            "j k move  > follow  Enter details  / filter  1 waiting  3 rules  ? help  q quit",
            "> follow  ? help",
        ],
        (Mode::Browse, View::Rules) => &[
            "j k move  r revoke  Enter details  / filter  1 waiting  2 log  ? help  q quit",
            "r revoke  ? help",
        ],
    };
    lines.iter().map(|line| Line::raw(*line)).collect()
}

/// A heading that goes on as a rule to the edge.
fn rule(line: &mut Line<'_>, width: u16) {
    let left = usize::from(width).saturating_sub(line.width());
    line.push_span(Span::styled(
        "─".repeat(left),
        Style::new().add_modifier(Modifier::DIM),
    ));
}

fn put(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    if row < area.height {
        buffer.set_line(area.x, area.y + row, line, area.width);
    }
}

/// The first rows of an area, which has them no longer.
fn take_top(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    let top = Rect { height, ..*area };
    area.y += height;
    area.height -= height;
    top
}

fn cut_bottom(area: Rect, height: u16) -> (Rect, Rect) {
    let mut rest = area;
    let top = take_top(&mut rest, area.height.saturating_sub(height));
    (top, rest)
}

fn cut_right(area: Rect, width: u16) -> (Rect, Rect) {
    let right = width.min(area.width);
    let left = area.width - right;
    let rest = Rect {
        x: area.x + left,
        width: right,
        ..area
    };
    let gap = left.saturating_sub(1);
    (Rect { width: gap, ..area }, rest)
}

#[cfg(test)]
mod tests;
