//! What the processes of a session say to each other: actions, answers, events, faults, and the
//! document that starts a proxy. Types and words only; nothing here opens a connection.

mod actions;
mod answers;
mod attack;
mod audit;
mod commands;
mod document;
pub mod enclosure;
mod events;
mod faults;
mod keeper;
mod pending;
mod query;

pub use actions::{
    Action, AddBody, Addition, BY, BY_UI, METRICS, OPENAPI, ROUTES, RevokeBody, Route, duration,
};
pub use answers::{
    Added, Admission, ConnectionView, Connections, Counts, DestinationStats, DnsStats, Explanation,
    Health, IdentityView, LogEntry, Logs, Reloaded, Revoked, RuleView, Rules, Session, Shadowed,
    Stats, known,
};
pub use attack::{Finding, Held, Hidden, Reach, Targets, Through};
pub use audit::{AUDIT_FILE_MAX, AUDIT_OLDER, AuditPlace, audit_file_name};
pub use commands::{allow_command, revoke_command, shell_word};
pub use document::{
    Asking, ControlPoints, DecisionsPlace, Document, DoorAddresses, Doors, FromProxy, HostAccess,
    Identity, Listening, PolicyDocument, RuleGroup, Saved, TlsMaterial, ToProxy, ToldPreset,
};
pub use events::{Event, RuleChange};
pub use faults::Fault;
pub use keeper::{
    FRAME, FRAME_HEAD, Frame, FromKeeper, KEEPER_LINE, Order, ShellView, SignalName, ToKeeper,
    Told, Which,
};
pub use pending::{
    DecideBody, Decided, Decision, MissedView, Outcome, Pending, PendingView, PresetOffer, Settled,
};
