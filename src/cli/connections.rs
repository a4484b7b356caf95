//! `connections`.

use std::process::ExitCode;

use super::args::Reach;
use super::failure::Failure;
use super::output::Output;
use super::reach::client;

pub(super) async fn run(reach: &Reach, out: &Output) -> Result<ExitCode, Failure> {
    let answer = client(reach, out).await?.connections().await?;
    if out.json {
        out.json(&answer)?;
    } else if answer.connections.is_empty() {
        out.note("nothing is open");
    } else {
        let rows: Vec<_> = answer
            .connections
            .iter()
            .map(|open| {
                vec![
                    open.target.clone(),
                    open.door.to_string(),
                    open.carries.clone().unwrap_or_else(|| "-".to_owned()),
                    open.rule.clone(),
                    open.bytes_up.to_string(),
                    open.bytes_down.to_string(),
                    format!("{} s", open.age_seconds),
                ]
            })
            .collect();
        out.table(
            &["TARGET", "DOOR", "CARRIES", "RULE", "UP", "DOWN", "AGE"],
            &rows,
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
