//! `explain`.

use std::net::Ipv6Addr;
use std::process::ExitCode;

use crate::api::{Admission, RuleView};
use crate::policy::{Target, TargetError};

use super::args::{ExplainArgs, Reach};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::reach::client;

pub(super) async fn run(
    args: ExplainArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let target = match args.target.parse::<Target>() {
        Err(TargetError::PortMissing) => format!("{}:443", args.target).parse(),
        Err(_) if args.target.parse::<Ipv6Addr>().is_ok() => {
            format!("[{}]:443", args.target).parse()
        }
        other => other,
    };
    let target = target
        .map_err(|error| Failure::usage(format!("{:?}: {error}; write host:port", args.target)))?;
    let answer = client(&args.reach.or(before), out)
        .await?
        .explain(&target.to_string())
        .await?;
    if out.json {
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (tone, word) = match answer.admission {
        Admission::Allow => (Tone::Good, "allow"),
        Admission::Deny => (Tone::Bad, "deny"),
        Admission::Ask => (Tone::Strong, "ask"),
    };
    out.line(format!(
        "{}: {} ({}): {}",
        printable(&answer.target),
        out.paint(tone, word),
        answer.reason,
        printable(&answer.says)
    ))?;
    if let Some(rule) = &answer.rule {
        out.line(format!("  rule: {}, {} hits", shown(rule), rule.hits))?;
    }
    for rule in &answer.outranked {
        out.line(format!("  outranked: {}", shown(rule)))?;
    }
    if let Some(rule) = &answer.nearest {
        out.line(format!("  nearest: {}", shown(rule)))?;
    }
    if let Some(remedy) = &answer.remedy {
        out.line(format!("  to let it through: {}", printable(remedy)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A rule with where it is from, and who made it and when, where that is known.
fn shown(rule: &RuleView) -> String {
    let mut shown = format!(
        "{} {} ({}",
        rule.verdict,
        printable(&rule.entry),
        rule.origin
    );
    if let Some(by) = &rule.made_by {
        shown.push_str(&format!(", made by {}", printable(by)));
    }
    if let Some(at) = &rule.made_at {
        shown.push_str(&format!(" at {}", printable(at)));
    }
    shown.push(')');
    shown
}
