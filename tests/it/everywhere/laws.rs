//! Every law, by the sentence that says it, and the rows of the table of attacks that it runs: data.

use super::{Place, commands, directories, held, kept, neighbours, peers, reach, walls};

/// What holds in a place.
type Law = fn(&dyn Place);

/// A law by its sentence, with the rows of the table of attacks that it runs.
pub(crate) type Bound = (&'static str, Law, &'static [&'static str]);

/// Laws of every place.
pub(super) const LAWS: &[Bound] = &[
    (
        "a command has its own exit code, its streams and its arguments",
        commands::exit_code_and_streams,
        &[],
    ),
    (
        "a command that is not there is told, with the code a shell gives it",
        commands::no_such_command,
        &[],
    ),
    (
        "a command hears of its children",
        commands::hears_of_children,
        &[],
    ),
    (
        "the project is the person's, at its own path, what is changed in it comes to them, and its \
         settings are hidden",
        commands::project_and_home,
        &["CTL-016"],
    ),
    (
        "a signal ends the command, and nothing is left",
        commands::signal,
        &[],
    ),
    (
        "what no rule covers is refused, and an allow over the socket and over mTLS lets it through",
        reach::refused_and_allowed,
        &[],
    ),
    (
        "a program that knows no proxy is refused and let through as one that does, and so is SOCKS5",
        reach::without_a_proxy,
        &[],
    ),
    (
        "the owner is answered, over the socket where there is one, and the sandbox sees no socket",
        reach::control_plane,
        &["UDS-002"],
    ),
    (
        "a session stays until it is ended, runs commands meanwhile, and ends twice without harm",
        kept::up_exec_down,
        &[],
    ),
    (
        "a command in a session gets its input, its signals, and the end of its terminal",
        kept::exec_streams_and_signals,
        &[],
    ),
    ("run joins the session of its project", kept::run_joins, &[]),
    (
        "a shell outlives its terminal, and is joined again",
        kept::shell_outlives_its_terminal,
        &[],
    ),
    (
        "nothing that is tried gets out of a sandbox, and a session may depend on that",
        held::self_attack,
        &[],
    ),
    (
        "a launcher that is killed leaves nothing that a prune does not take away",
        kept::killed_launcher,
        &[],
    ),
];

/// Laws about walls: they are looked at from both sides, so that session and test have to be on one
/// machine.
pub(super) const WALLS: &[Bound] = &[
    (
        "a program that knows no proxy reaches the ports of the host that are named, and no other",
        reach::ports_of_the_host,
        &[],
    ),
    (
        "an engine's socket, and what holds one, is no volume",
        walls::engines_socket_is_no_volume,
        &["BOX-001", "BOX-002"],
    ),
    (
        "known ways out of what a sandbox is made by are looked up",
        walls::known_ways_out_are_looked_up,
        &["BOX-004", "BOX-005"],
    ),
    (
        "a sandbox has no privilege, and gets none",
        walls::no_privilege,
        &["BOX-011"],
    ),
    (
        "a sandbox has no variable that nobody named",
        walls::no_variable_that_nobody_named,
        &["BOX-012"],
    ),
    (
        "a proxy shows no key in its environment nor in its command line",
        walls::the_proxy_shows_no_key,
        &["BOX-013"],
    ),
    (
        "a hook that a session left is told at its end",
        walls::a_hook_is_told,
        &["BOX-017"],
    ),
    (
        "the first command finds a proxy that answers",
        walls::the_first_command_finds_the_proxy,
        &["BOX-019"],
    ),
    (
        "without its rules no session starts",
        walls::without_its_rules_nothing_starts,
        &["BOX-020"],
    ),
    (
        "where nothing can be parted off no session starts",
        walls::nothing_starts_that_is_not_parted_off,
        &["BOX-021"],
    ),
    (
        "a sandbox reaches its proxy's doors and no other address",
        neighbours::doors_and_no_other_address,
        &["BOX-007", "CTL-002", "CTL-003", "CTL-010"],
    ),
    (
        "the proxy is no way to itself, and nobody is asked about it",
        neighbours::the_proxy_is_no_way_to_itself,
        &["CTL-006", "CTL-007"],
    ),
    (
        "sessions are no neighbours, and have their own rules",
        neighbours::sessions_are_no_neighbours,
        &["CTL-012", "CTL-013"],
    ),
    (
        "a project allows itself nothing",
        neighbours::a_project_allows_itself_nothing,
        &["CTL-017", "CTL-018"],
    ),
    (
        "nobody else gets into a person's directories",
        directories::nobody_else_gets_into_them,
        &["FS-001", "UDS-011"],
    ),
    (
        "without a runtime directory the one in a shared place is the person's alone",
        directories::in_tmp_it_is_ours_alone,
        &["FS-002"],
    ),
    (
        "a session's name is no path",
        directories::a_session_is_no_path,
        &["FS-004"],
    ),
    (
        "an audit log is its owner's alone",
        directories::the_audit_log_is_its_owners_alone,
        &["FS-007"],
    ),
    (
        "where no socket can be reached the port is, and no link is followed",
        directories::where_no_socket_can_be_reached_there_is_the_port,
        &["FS-005", "UDS-016", "UDS-017"],
    ),
    (
        "the owner is answered over the socket and nobody else is",
        peers::the_owner_alone,
        &["UDS-004", "UDS-006", "UDS-007", "UDS-009"],
    ),
    (
        "a proxy has no socket without a path",
        peers::no_socket_without_a_path,
        &["UDS-010"],
    ),
    (
        "no page of a browser's speaks to a proxy",
        peers::no_page_speaks_to_it,
        &["UDS-018"],
    ),
    (
        "many connections at once are bounded, and it answers again",
        peers::many_connections_are_bounded,
        &["UDS-019"],
    ),
];

/// The rows that are run in every place of this machine.
pub(crate) fn rows() -> impl Iterator<Item = &'static str> {
    let laws = LAWS.iter().chain(WALLS);
    laws.flat_map(|(_, _, rows)| *rows).copied()
}
