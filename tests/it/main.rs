//! One binary for all integration tests: a file a capability.

mod support;

mod attacks;
mod dns;
mod docker;
mod docker_crash;
mod docker_walls;
mod forwarding;
mod layering;
mod mtls;
