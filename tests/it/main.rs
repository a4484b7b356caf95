//! One binary for all integration tests: a file a capability.

mod support;

mod attacks;
mod dial;
mod dns;
mod forwarding;
mod layering;
mod mtls;
