//! Where each row of the table is: data.

use super::{dns, framing, limits, names, requests, rules};

/// Of rows.
type Ids = &'static [&'static str];

/// Rows that need more than their bytes, and the test that runs them. Where a row and the design
/// disagree, the test says so beside it.
pub(super) const OWN_TESTS: &[(Ids, fn())] = &[
    (
        &["DISP-001", "DISP-009", "DISP-010", "WEB-007"],
        requests::what_was_sent_is_shown_escaped,
    ),
    (
        &["DISP-003"],
        requests::the_name_of_a_session_is_shown_escaped,
    ),
    (
        &["IDN-014"],
        requests::a_name_is_decided_about_and_logged_as_a_lower_case_a_label,
    ),
    (
        &["IP4-030", "IP6-028", "IP6-029"],
        requests::no_name_rule_covers_an_address,
    ),
    (
        &["LEN-005", "LEN-006"],
        requests::what_is_too_long_is_refused_before_it_is_whole,
    ),
    (
        &["MIS-001", "MIS-002", "MIS-023"],
        requests::the_target_decides_and_no_field_does,
    ),
    (
        &["MIS-021", "MIS-025", "PORT-022"],
        requests::only_http_in_absolute_form_is_a_request,
    ),
    (&["MIS-022"], requests::http2_is_never_switched_to),
    (
        &["PORT-021"],
        requests::a_rule_for_443_covers_plain_http_to_that_port,
    ),
    (
        &["SMUG-002"],
        framing::pipelined_requests_are_judged_one_by_one_and_answered_in_order,
    ),
    (
        &[
            "SMUG-004", "SMUG-014", "SMUG-020", "SMUG-022", "SMUG-023", "SMUG-026", "SMUG-033",
        ],
        framing::what_can_be_read_in_two_ways_is_refused,
    ),
    (
        &[
            "SMUG-005", "SMUG-006", "SMUG-008", "SMUG-009", "SMUG-010", "SMUG-011",
        ],
        framing::only_the_plain_chunked_coding_is_taken,
    ),
    (
        &["SMUG-016"],
        framing::a_chunk_size_that_overflows_ends_the_connection,
    ),
    (&["SMUG-018"], framing::lines_end_with_cr_lf),
    (&["SMUG-028"], framing::nothing_is_sent_before_the_decision),
    (
        &["SMUG-029"],
        framing::trace_is_answered_here_and_reflects_nothing,
    ),
    (
        &["SMUG-031"],
        framing::a_switch_of_protocols_that_nobody_asked_for_is_a_502,
    ),
    (
        &["CASE-004"],
        dns::the_answer_echoes_the_spelling_of_the_question,
    ),
    (
        &["DNS-002", "DNS-029"],
        dns::a_name_that_no_rule_allows_is_answered_here,
    ),
    (
        &["DNS-003"],
        dns::a_wildcard_covers_one_label_and_carries_no_more,
    ),
    (
        &["DNS-008", "DNS-013", "DNS-014"],
        dns::other_types_are_asked_for_allowed_names_alone,
    ),
    (
        &["DNS-015", "DNS-020", "DNS-022", "NUL-009"],
        dns::what_is_no_plain_question_goes_nowhere,
    ),
    (
        &["DNS-016", "DNS-017", "DNS-019"],
        dns::a_question_that_goes_upstream_is_made_anew,
    ),
    (
        &["DNS-024"],
        dns::a_length_that_no_question_has_ends_the_connection,
    ),
    (
        &["DNS-026"],
        dns::addresses_nobody_asked_for_are_taken_out_of_an_answer,
    ),
    (&["DNS-032"], limits::a_flood_of_names_leaves_bounded_books),
    (
        &["REB-001"],
        names::a_name_is_resolved_once_and_what_was_checked_is_dialled,
    ),
    (
        &["REB-005"],
        names::an_alias_is_judged_by_the_name_that_was_asked_for,
    ),
    (
        &["REB-006"],
        names::a_resolver_that_fails_lets_nothing_through,
    ),
    (&["REB-007"], names::the_hosts_file_has_no_say),
    (
        &["REB-009", "REB-010", "REB-014", "REB-015"],
        names::an_allowed_name_at_a_screened_address_is_refused,
    ),
    (
        &["REB-011"],
        names::the_addresses_of_this_machine_are_not_dialled,
    ),
    (
        &[
            "RULE-001", "RULE-002", "RULE-005", "RULE-006", "RULE-008", "RULE-009", "RULE-012",
            "RULE-014", "RULE-016", "RULE-017",
        ],
        rules::an_entry_that_is_none_is_refused_on_every_way_in,
    ),
    (
        &["IDN-015", "RULE-013", "RULE-018", "RULE-019", "RULE-020"],
        rules::an_entry_is_kept_in_its_canonical_spelling_whatever_way_it_came_in,
    ),
    (
        &["RULE-027", "RULE-030", "RULE-032"],
        rules::a_file_that_cannot_be_used_is_told_at_the_start,
    ),
    (&["RULE-028"], rules::without_rules_everything_is_refused),
    (
        &["RULE-029"],
        rules::a_deny_outranks_an_allow_of_the_same_host,
    ),
    (
        &["NUL-010"],
        rules::a_control_byte_in_an_entry_stores_nothing,
    ),
    (
        &["NUL-011"],
        rules::a_file_that_went_bad_leaves_the_former_rules,
    ),
    (
        &["FAIL-010"],
        limits::a_proxy_without_descriptors_still_answers_its_owner,
    ),
    (
        &["TLS-013"],
        limits::no_session_of_the_control_port_can_be_taken_up_again,
    ),
];

/// Rows whose tests are in other files: which file, which test.
pub(super) const ELSEWHERE: &[(&str, &str, Ids)] = &[
    (
        "tests/it/asking_many.rs",
        "a_flood_of_made_up_names_is_bounded_and_told_once",
        &["APP-001"],
    ),
    (
        "tests/it/asking.rs",
        "requests_for_the_same_host_and_port_share_an_entry_and_one_word_answers_them_all",
        &["APP-002", "APP-004"],
    ),
    (
        "tests/it/asking.rs",
        "what_nobody_decides_in_time_is_refused_and_can_be_approved_for_the_next_try",
        &["APP-006"],
    ),
    (
        "tests/it/asking.rs",
        "a_client_that_gives_up_leaves_its_entry_and_an_approval_lets_the_retry_through",
        &["APP-007"],
    ),
    (
        "tests/it/asking.rs",
        "a_held_tunnel_goes_on_once_somebody_approves_it_and_hears_nothing_before",
        &["APP-008"],
    ),
    (
        "tests/it/asking.rs",
        "while_nobody_watches_a_request_waits_for_the_unattended_time",
        &["APP-010", "APP-011"],
    ),
    (
        "tests/it/asking_many.rs",
        "of_two_who_decide_at_once_one_wins_and_the_other_learns_who",
        &["APP-012", "APP-013"],
    ),
    (
        "tests/it/asking.rs",
        "an_approval_for_once_lets_one_request_through_and_the_next_one_asks_again",
        &["APP-016"],
    ),
    (
        "tests/it/asking_scopes.rs",
        "a_denial_for_the_session_is_remembered_and_nobody_is_asked_again",
        &["APP-017"],
    ),
    (
        "tests/it/saving.rs",
        "on_a_full_disk_a_decision_holds_for_the_session_and_the_file_stays_whole",
        &["APP-021"],
    ),
    (
        "tests/it/asking.rs",
        "when_the_proxy_is_killed_what_waits_ends_without_an_answer_and_nothing_is_approved",
        &["APP-025"],
    ),
    (
        "tests/it/asking_scopes.rs",
        "a_deny_that_came_meanwhile_outranks_an_approval",
        &["APP-026"],
    ),
    (
        "tests/it/live.rs",
        "a_rule_with_a_time_limit_ends_and_closes_its_tunnel",
        &["APP-023"],
    ),
    (
        "tests/it/forwarding.rs",
        "a_client_that_does_not_read_makes_the_origin_wait",
        &["FAIL-009"],
    ),
    (
        "tests/it/docker_walls.rs",
        "the_sandbox_reaches_its_proxys_doors_and_no_other_address",
        &[
            "DNS-030", "IP6-034", "PIV-010", "PIV-011", "PIV-014", "PIV-015", "TLS-009",
        ],
    ),
    (
        "tests/it/docker_walls.rs",
        "no_name_that_is_not_allowed_leaves_by_any_name_server",
        &["DNS-027", "DNS-028"],
    ),
    (
        "tests/it/docker_inside.rs",
        "the_sandbox_has_no_capability_no_new_privileges_and_no_raw_socket",
        &["PIV-012"],
    ),
    (
        "tests/it/docker_inside.rs",
        "the_proxys_container_shows_no_key_and_has_three_mounts",
        &["TLS-006", "TLS-007"],
    ),
    (
        "tests/it/mtls.rs",
        "a_servers_certificate_does_not_make_a_client",
        &["TLS-004"],
    ),
    (
        "tests/it/mtls_control.rs",
        "the_port_serves_when_there_is_no_socket_to_reach",
        &["TLS-011"],
    ),
    (
        "tests/it/doors.rs",
        "what_socks5_does_not_serve_is_told_so_and_leaves_one_line",
        &[
            "NUL-004", "SOCK-001", "SOCK-004", "SOCK-006", "SOCK-007", "SOCK-008", "SOCK-009",
            "SOCK-012",
        ],
    ),
    (
        "tests/it/doors.rs",
        "a_target_of_socks5_is_judged_as_every_other_one",
        &["DOT-009", "IP4-032", "IP4-033", "IP4-034", "NUL-003"],
    ),
    (
        "tests/it/doors.rs",
        "tls_to_another_host_than_the_tunnels_is_cut_unless_that_one_is_allowed",
        &["MIS-004", "SOCK-013"],
    ),
    (
        "tests/it/doors.rs",
        "http_in_a_tunnel_is_held_to_its_host_request_by_request",
        &["MIS-012", "MIS-013"],
    ),
    (
        "src/proxy/doors/hello.rs",
        "the_name_is_found_however_the_hello_is_cut",
        &["DOT-010", "MIS-009"],
    ),
    (
        "src/proxy/doors/hello.rs",
        "what_could_be_for_two_hosts_or_for_none_is_refused",
        &["MIS-006", "MIS-010"],
    ),
    (
        "src/proxy/doors/hello.rs",
        "no_bytes_are_too_odd_to_be_read",
        &["FAIL-008"],
    ),
    (
        "tests/it/remote.rs",
        "a_session_on_another_machine_is_commanded_from_here_and_leaves_its_work_to_pull",
        &["TLS-010"],
    ),
    (
        "tests/it/mtls_control.rs",
        "a_key_that_others_can_read_is_not_used_and_the_error_says_what_to_do",
        &["TLS-008"],
    ),
    (
        "tests/it/mtls.rs",
        "a_clock_that_makes_certificates_invalid_ends_the_connection_with_the_reason",
        &["FAIL-012"],
    ),
    (
        "src/cli/pending.rs",
        "a_long_name_keeps_the_part_that_somebody_registered_in_sight",
        &["DISP-007"],
    ),
    (
        "tests/it/asking_shown.rs",
        "a_look_alike_of_an_allowed_name_is_pointed_out",
        &["DISP-006"],
    ),
    (
        "tests/it/asking.rs",
        "the_name_is_resolved_once_somebody_has_approved_it_and_what_it_is_then_is_screened",
        &["REB-013"],
    ),
    (
        "src/policy/presets/tests.rs",
        "no_preset_opens_a_service_that_fetches_for_others_or_a_store_that_anybody_rents",
        &["PIV-006"],
    ),
    (
        "tests/it/ui.rs",
        "what_another_site_has_a_browser_post_is_refused_and_decides_nothing",
        &["WEB-001"],
    ),
    (
        "tests/it/ui.rs",
        "the_gateway_answers_to_its_own_address_alone",
        &["WEB-005"],
    ),
    (
        "tests/it/ui.rs",
        "a_code_lets_one_browser_in_and_is_then_worth_nothing",
        &["WEB-006"],
    ),
    (
        "tests/it/ui_access.rs",
        "nothing_is_asked_of_another_host_and_no_policy_is_broken_whatever_a_session_is_called",
        &["WEB-008"],
    ),
    (
        "tests/it/ui.rs",
        "every_answer_says_what_a_browser_must_not_do_with_it",
        &["WEB-009"],
    ),
    (
        "tests/it/ui.rs",
        "without_a_pass_everything_but_the_pages_own_files_is_401",
        &["WEB-011"],
    ),
    (
        "tests/it/ui.rs",
        "a_decision_about_what_does_not_stand_any_more_is_409_and_touches_nothing_else",
        &["WEB-014"],
    ),
    (
        "tests/it/docker_prompt.rs",
        "where_nobody_can_be_asked_a_session_refuses_at_once_and_says_at_its_end_what",
        &["APP-030"],
    ),
];

/// Rows that wait for what is not built yet, and rows about what the design leaves out.
pub(super) const LATER: &[(&str, Ids)] = &[
    (
        "letting everything through for a while, which vibepit does not do",
        &["APP-031"],
    ),
    (
        "other protocols than TLS and HTTP pass in a tunnel, whatever its port: the audit log names them",
        &["MIS-011"],
    ),
    (
        "outside the design: interception, path rules, secret injection, update signatures",
        &[
            "CASE-003", "FAIL-004", "FAIL-005", "FAIL-006", "FAIL-014", "MIS-015", "MIS-016",
            "MIS-020", "PATH-002", "PATH-003", "PATH-005", "PATH-007", "PATH-008", "PATH-010",
            "PATH-011", "PIV-003", "PIV-005", "PIV-007",
        ],
    ),
    // A covert channel to the person alone.
    ("nothing to send: documented", &["PIV-017"]),
];
