//! What a person notices of held requests in the terminal that the command runs in.

use crate::cli_terminal::Terminal;
use crate::support::local::Local;
use crate::support::require;

const ASKS: &str = "unlisted_domain_behavior = \"request_approval\"\n";

/// `vibepit run OPTIONS -- sh -c SCRIPT` on a terminal.
fn running(
    local: &Local,
    terminal: &Terminal,
    options: &[&str],
    script: &str,
) -> std::process::Child {
    let mut command = local.vibepit(options);
    command
        .env("TERM", "foot")
        .args(["--", "sh", "-c", script])
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio());
    command.spawn().expect("vibepit runs")
}

#[test]
fn a_held_request_is_in_the_title_while_it_waits_and_the_last_line_sums_up() {
    if !require("user-namespaces") || !require("curl") {
        return;
    }
    let local = Local::new(ASKS, None);
    let mut terminal = Terminal::new();
    let script = "curl -sS -o /dev/null -w '[%{http_code}]' http://one.test:8080/; \
                  printf '\\033]2;agent'; read typed; printf '\\007typed'";
    let mut command = running(&local, &terminal, &["--notify", "osc"], script);
    terminal.shows("\x1b[22;2t\x1b]2;vibepit: one.test:8080 waits for you\x07");
    terminal.shows("\x1b]777;notify;vibepit;vibepit: one.test:8080 waits for you\x07\x07");
    local.cli(&["deny", "one.test", "--scope", "once"]).ok();
    // In the midst of a sequence of the command's, which ends once something is typed.
    let mut shown = terminal.shows("\x1b]2;agent");
    terminal.types("x\r");
    shown.push_str(&terminal.shows("\x07typed"));
    shown.push_str(&terminal.shows("1 was held (vibepit review)"));
    assert_eq!(shown.matches("\x1b[23;2t").count(), 1, "{shown:?}");
    let (_, last) = shown.split_once("\x07typed").expect("it was shown");
    assert!(
        last.contains("0 requests allowed, 1 refused, "),
        "{shown:?}"
    );
    assert_eq!(command.wait().expect("its end").code(), Some(0));
    local.is_clean();
}

#[test]
fn nothing_is_written_to_the_terminal_but_what_was_asked_for() {
    if !require("user-namespaces") || !require("curl") {
        return;
    }
    let local = Local::new(ASKS, None);
    for (notify, title, bell) in [
        ("off", false, false),
        ("title", true, false),
        ("bell", true, true),
    ] {
        let mut terminal = Terminal::new();
        let script = "curl -sS -o /dev/null -w '[%{http_code}]' http://one.test:8080/";
        let options = ["--notify", notify];
        let mut command = running(&local, &terminal, &options, script);
        let before = match title {
            true => terminal.shows("waits for you\x07"),
            false => String::new(),
        };
        let bell_shown = match bell {
            true => terminal.shows("\x07"),
            false => String::new(),
        };
        let mut denied = local.cli(&["deny", "one.test", "--scope", "once"]);
        while denied.code != Some(0) {
            denied = local.cli(&["deny", "one.test", "--scope", "once"]);
        }
        let shown = terminal.shows("1 was held (vibepit review)");
        let all = format!("{before}{bell_shown}{shown}");
        assert_eq!(all.contains("\x1b]2;"), title, "{notify}: {all:?}");
        assert!(!all.contains("\x1b]777"), "{notify}: {all:?}");
        let alone = all
            .replace("waits for you\x07", "")
            .replace("\x1b]2;\x07", "");
        assert_eq!(alone.contains('\x07'), bell, "{notify}: {all:?}");
        assert_eq!(command.wait().expect("its end").code(), Some(0));
    }
}
