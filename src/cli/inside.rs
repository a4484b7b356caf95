//! The processes of a sandbox without an engine. They are no commands: nobody types them, no help
//! and no manual page names them, and they run before anything that would start a thread.

use std::process::ExitCode;

use crate::inside;

/// Runs the process that the arguments name, if they name one.
pub(super) fn run() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "inside" {
        return None;
    }
    // Its words came over the channel to the launcher, as text.
    let words: Vec<String> = arguments
        .map(|word| word.into_string().unwrap_or_default())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["enclosure", ref ports @ ..] => Some(inside::enclose(ports)),
        ["init"] => Some(inside::init()),
        ["terminal", "--", ref command @ ..] => Some(inside::take_terminal(command)),
        // A project of this name, say.
        _ => None,
    }
}
