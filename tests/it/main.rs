//! One binary for all integration tests: a file a capability.

mod support;

mod attacks;
mod docs;
mod forwarding;
mod mtls;
mod scripts;
