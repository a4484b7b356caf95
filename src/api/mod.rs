//! What the processes of a session say to each other: actions, events, faults, and the
//! document that starts a proxy. Types and words only; nothing here opens a connection.

mod document;

pub use document::{
    ControlPoints, Document, Doors, FromProxy, HostAccess, Identity, Listening, PolicyDocument,
    RuleGroup, TlsMaterial, ToProxy,
};
