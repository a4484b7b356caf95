//! One binary for all integration tests: a file a capability.

mod support;

mod attacks;
mod cli;
mod cli_logs;
mod cli_terminal;
mod control;
mod control_curl;
mod control_data;
mod control_events;
mod control_explain;
mod control_limits;
mod control_rules;
mod dial;
mod dns;
mod docker;
mod docker_crash;
mod docker_inside;
mod docker_live;
mod docker_rootless;
mod docker_walls;
mod docs;
mod forwarding;
mod layering;
mod live;
mod mtls;
mod mtls_control;
mod openapi;
mod openapi_schema;
mod peers;
mod scripts;
mod sessions;
mod sessions_launched;
mod strictness;
mod tables;
mod tunnels;
