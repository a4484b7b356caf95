//! `GET /metrics`: OpenMetrics 1.0 text.

use std::fmt::Write;

use super::State;

/// Everything that is counted, without a label a sandbox could choose: names would let it make
/// as many series as it likes.
pub(super) fn render(state: &State) -> String {
    let tally = state.ledger.tally();
    let mut text = String::new();
    let mut metric = |kind: &str, name: &str, help: &str, samples: &[(&str, u64)]| {
        let _ = writeln!(
            text,
            "# TYPE vibepit_{name} {kind}\n# HELP vibepit_{name} {help}"
        );
        let suffix = if kind == "counter" { "_total" } else { "" };
        for (labels, value) in samples {
            let _ = writeln!(text, "vibepit_{name}{suffix}{labels} {value}");
        }
    };
    metric(
        "counter",
        "requests",
        "Requests of the sandbox, by what became of them.",
        &[
            ("{verdict=\"allow\"}", tally.allowed),
            ("{verdict=\"deny\"}", tally.refused),
        ],
    );
    metric(
        "counter",
        "relayed_bytes",
        "Bytes of closed connections, as the sandbox sees them.",
        &[
            ("{direction=\"up\"}", tally.up),
            ("{direction=\"down\"}", tally.down),
        ],
    );
    metric(
        "counter",
        "dns_questions_over_limit",
        "Questions beyond the limit: told to come back over TCP, or made to wait there.",
        &[
            ("{transport=\"udp\"}", state.gate.questions.turned_away()),
            ("{transport=\"tcp\"}", state.gate.questions.delayed()),
        ],
    );
    metric(
        "gauge",
        "connections",
        "Connections of the sandbox that are open.",
        &[("", state.ledger.connection_count() as u64)],
    );
    metric(
        "gauge",
        "rules",
        "Rules in force.",
        &[("", state.gate.rule_count() as u64)],
    );
    metric(
        "counter",
        "peers_refused",
        "Callers of the control socket who were turned away.",
        &[("", tally.peers_refused)],
    );
    metric(
        "counter",
        "audit_lines_lost",
        "Audit lines that could not be written.",
        &[("", tally.audit_lost)],
    );
    metric(
        "gauge",
        "uptime_seconds",
        "Seconds since the proxy started.",
        &[("", state.since.elapsed().as_secs())],
    );
    text.push_str("# EOF\n");
    text
}
