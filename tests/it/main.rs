//! One binary for all integration tests: a file a capability.

mod mtls;
