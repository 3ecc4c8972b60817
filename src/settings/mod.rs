//! Every knob of the server: one list of definitions gives the typed structs, the example file and the reference page.
//!
//! Invariants:
//! - a [`Settings`] is checked: whoever holds one holds values inside their ranges;
//! - an unknown name is an error wherever it is written, with the nearest known name;
//! - `config/thalweg.toml` and `docs/settings.md` are generated; a test fails when they are stale.
//!
//! Reading order: [`Settings`] in `definition`, [`Sources`], [`resolve`], `value`, `render`.

mod data_folder;
mod definition;
mod ksqldb_names;
mod render;
mod sources;
mod value;

pub use data_folder::{data_folder, default_data_folder};
pub use definition::{
    Definition, Effect, Group, HttpSettings, ProcessingLogSettings, RuntimeKnobs, ServiceSettings, Settings,
    SqlSettings, TelemetrySettings, TopicKnobs, find, names,
};
pub use ksqldb_names::{Property, aliases_of, resolve};
pub use render::{reference_page, toml_file};
pub use sources::{InvalidSettings, Sources};
pub(crate) use value::SettingValue;
pub use value::{
    ByteSize, Compatibility, CompressionKind, FsyncPolicy, ListenAddress, LogFormat, OffsetReset, ProcessingGuarantee,
};
