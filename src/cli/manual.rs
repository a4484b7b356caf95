//! `man`: the manual pages. What can be typed, and the examples, come from the arguments' own
//! definitions; what else there is to know is written by hand, in roff, in `man/*.1.in`, and
//! stands between the two. Pages that are about no command are written by hand but for their title.

use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{Cli, ManArgs};
use super::failure::Failure;
use super::output::Output;

/// The sections that are written by hand, by page.
const WRITTEN: [(&str, &str); 3] = [
    ("vibepit", include_str!("../../man/vibepit.1.in")),
    (
        "vibepit-doctor",
        include_str!("../../man/vibepit-doctor.1.in"),
    ),
    (
        "vibepit-proxy",
        include_str!("../../man/vibepit-proxy.1.in"),
    ),
];

/// The pages that are about no command: name, section, what man(1) heads them with, and all of it.
const ABOUT: [(&str, char, &str, &str); 3] = [
    (
        "vibepit-config",
        '5',
        "File Formats",
        include_str!("../../man/vibepit-config.5.in"),
    ),
    (
        "vibepit-api",
        '7',
        "Miscellaneous Information",
        include_str!("../../man/vibepit-api.7.in"),
    ),
    (
        "vibepit-security",
        '7',
        "Miscellaneous Information",
        include_str!("../../man/vibepit-security.7.in"),
    ),
];

/// What stands in the foot of every page.
const SOURCE: &str = concat!("vibepit ", env!("CARGO_PKG_VERSION"));

/// How far the commands of [`super::examples`] are indented, and what is said about them.
const COMMAND_INDENT: &str = "      ";
const TEXT_INDENT: &str = "  ";

/// A manual page.
struct Page {
    name: String,
    section: char,
    roff: String,
}

impl Page {
    fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }

    /// Whether this is what somebody calls it: `vibepit-api`, `vibepit-api.7`, `api` or `api.7`.
    fn is_called(&self, name: &str) -> bool {
        let file = self.file();
        [&self.name, &file]
            .into_iter()
            .any(|own| own == name || own.strip_prefix("vibepit-") == Some(name))
    }
}

pub(super) fn run(args: &ManArgs, out: &Output) -> Result<ExitCode, Failure> {
    let pages = pages()?;
    if let Some(dir) = &args.dir {
        pages.iter().try_for_each(|page| write(page, dir))?;
    } else if let Some(dir) = &args.manpath {
        let place = |page: &Page| dir.join(format!("man{}", page.section));
        pages
            .iter()
            .try_for_each(|page| write(page, &place(page)))?;
    } else {
        let name = args.page.as_deref().unwrap_or("vibepit");
        let page = pages.iter().find(|page| page.is_called(name));
        let page = page.ok_or_else(|| {
            let files: Vec<String> = pages.iter().map(Page::file).collect();
            Failure::usage(format!(
                "there is no page {name:?}; there are {}",
                files.join(", ")
            ))
        })?;
        out.raw(page.roff.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(page: &Page, dir: &Path) -> Result<(), Failure> {
    let cannot_write = |path: &Path| {
        let path = path.display().to_string();
        move |error| Failure::failed(format!("cannot write {path}: {error}"))
    };
    std::fs::create_dir_all(dir).map_err(cannot_write(dir))?;
    let path = dir.join(page.file());
    std::fs::write(&path, &page.roff).map_err(cannot_write(&path))
}

/// The page of `vibepit` first, then one a command, then those about no command.
fn pages() -> Result<Vec<Page>, Failure> {
    // `help` is no command of its own, and would have a page at each level.
    let mut command = Cli::command()
        .disable_help_subcommand(true)
        .mut_subcommands(|command| command.disable_help_subcommand(true));
    // Gives each command its full name, and what it inherits.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    pages.extend(
        ABOUT
            .iter()
            .map(|&(name, section, manual, text)| about(name, section, manual, text)),
    );
    Ok(pages)
}

fn about(name: &str, section: char, manual: &str, text: &str) -> Page {
    let title = format!(".TH {name} {section} \"\" \"{SOURCE}\" \"{manual}\"\n");
    Page {
        name: name.to_owned(),
        section,
        roff: title + text,
    }
}

fn collect(command: &Command, pages: &mut Vec<Page>) -> Result<(), Failure> {
    pages.push(page(command)?);
    command
        .get_subcommands()
        // What only vibepit itself calls.
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| collect(command, pages))
}

fn page(command: &Command) -> Result<Page, Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let mut generated = Vec::new();
    Man::new(adapted(command))
        // A date would make the pages of every build differ. An empty argument has to be quoted.
        .date("\"\"")
        .source(SOURCE)
        .manual("User Commands")
        .render(&mut generated)?;
    let mut roff = typeset(&String::from_utf8_lossy(&generated));
    for (_, sections) in WRITTEN.iter().filter(|(page, _)| *page == name) {
        roff.push_str(sections);
    }
    if let Some(text) = command.get_after_long_help() {
        roff.push_str(&typeset(&examples(&text.to_string())));
    }
    roff.push_str(&see_also(name));
    Ok(Page {
        name: name.to_owned(),
        section: '1',
        roff,
    })
}

/// What a manual page says otherwise than `--help`.
fn adapted(command: &Command) -> Command {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let description = command
        .get_long_about()
        .map_or_else(|| format!("{about}."), ToString::to_string);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command
        .clone()
        // man-pages(7): no capital, no full stop behind the dash.
        .about(uncapitalised(&about))
        .long_about(description)
        .override_usage(usage)
        .subcommand_help_heading("COMMANDS")
        // It stands in the foot of every page.
        .version(None::<&str>)
        .after_long_help(None::<&str>)
}

fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// The examples of `--help`, as a section. What follows a blank line is not one of them.
fn examples(text: &str) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    let mut lines = text.lines().take_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix(COMMAND_INDENT) {
            roff.control("RS", ["4"]).control("nf", []);
            roff.text([bold(command)]);
            while let Some(more) = lines.next_if(|line| line.starts_with(COMMAND_INDENT)) {
                roff.text([bold(&more[COMMAND_INDENT.len()..])]);
            }
            roff.control("fi", []).control("RE", []);
        } else if let Some(text) = line.strip_prefix(TEXT_INDENT) {
            roff.control("PP", []).text([roman(text)]);
        }
    }
    // Only commands have apostrophes that matter: shells take no other.
    roff.to_roff().replace('\'', r"\(aq")
}

/// The commands above one, and the pages about what it has to do with: of `vibepit` all of them, of
/// `vibepit config` the file's.
fn see_also(name: &str) -> String {
    let mut pages = Vec::new();
    let mut above = name;
    while let Some((parent, _)) = above.rsplit_once('-') {
        pages.insert(0, (parent, '1'));
        above = parent;
    }
    let concerns = |about: &str| name == "vibepit" || name.starts_with(about);
    pages.extend(
        ABOUT
            .iter()
            .filter(|(about, ..)| concerns(about))
            .map(|&(about, section, ..)| (about, section)),
    );
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    for (at, (page, section)) in pages.iter().enumerate() {
        let comma = if at + 1 < pages.len() { "," } else { "" };
        roff.text([bold(*page), roman(format!("({section}){comma}"))]);
    }
    roff.to_roff()
}

/// Help texts mark commands with backquotes; a page shows them in bold. The characters that troff
/// would make typographic ones of stay what they are, so that a command can be copied
/// (groff_char(7)).
fn typeset(roff: &str) -> String {
    let mut text = String::with_capacity(roff.len());
    let mut in_code = false;
    for c in roff.chars() {
        match c {
            '`' => {
                text.push_str(if in_code { r"\fR" } else { r"\fB" });
                in_code = !in_code;
            }
            '~' => text.push_str(r"\(ti"),
            '^' => text.push_str(r"\(ha"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hand_written_text_belongs_to_a_page() {
        let pages = pages().unwrap();
        for (name, _) in WRITTEN {
            assert!(pages.iter().any(|page| page.name == name), "{name}");
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let pages = pages().unwrap();
        for page in pages.iter().filter(|page| page.section == '1') {
            // These do nothing alone.
            let group = ["vibepit-config", "vibepit-image"].contains(&page.name.as_str());
            assert_ne!(page.roff.contains(".SH EXAMPLES"), group, "{}", page.name);
        }
    }

    #[test]
    fn a_page_is_called_by_its_name_with_or_without_what_all_have() {
        let pages = pages().unwrap();
        let called = |name: &str| {
            pages
                .iter()
                .find(|page| page.is_called(name))
                .map(Page::file)
        };
        for (name, file) in [
            ("vibepit", Some("vibepit.1")),
            ("run", Some("vibepit-run.1")),
            ("vibepit-security", Some("vibepit-security.7")),
            // The first of two.
            ("config", Some("vibepit-config.1")),
            ("config.5", Some("vibepit-config.5")),
            ("pit", None),
        ] {
            assert_eq!(called(name).as_deref(), file, "{name}");
        }
    }

    #[test]
    fn what_is_marked_as_code_is_bold_and_can_be_copied() {
        assert_eq!(typeset("say `a ~b` now"), r"say \fBa \(tib\fR now");
    }
}
