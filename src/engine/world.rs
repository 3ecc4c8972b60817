//! All that the command log says: catalog, queries, settings. And, for a sandbox, the topics that would be.
//!
//! [`World::apply`] is the only place where a command changes what is known. Validation applies commands to a copy,
//! execution to the live world, replay to an empty one: the three cannot disagree.
//!
//! Cloning a world costs a few pointer copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Catalog, CatalogChange, QueryId};
use crate::topics::TopicConfig;

use super::command::{Command, DoomedTopic, NewTopic, QueryAction, StoredQuery};

/// What the commands up to a point made.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    /// Sources, types, queries.
    pub(super) catalog: Catalog,
    /// What each persistent query runs.
    pub(super) queries: Arc<BTreeMap<QueryId, Arc<StoredQuery>>>,
    /// Settings of the whole service that ALTER SYSTEM gave.
    pub(super) settings: Arc<BTreeMap<String, String>>,
    /// The number of the next command.
    pub(super) next_command: i64,
    /// What commands did to topics: `Some` was wanted, `None` was deleted.
    topics: Arc<BTreeMap<String, Option<TopicConfig>>>,
    doomed: Arc<Vec<DoomedTopic>>,
}

impl World {
    /// What `command`, which has this number, makes of the world.
    pub(super) fn apply(&mut self, number: i64, command: &Command) {
        for NewTopic { name, config } in &command.create_topics {
            Arc::make_mut(&mut self.topics).insert(name.clone(), Some(config.clone()));
        }
        for change in &command.changes {
            self.catalog = self.catalog.with(change.clone());
        }
        for action in &command.queries {
            match action {
                QueryAction::Start(query) => {
                    Arc::make_mut(&mut self.queries).insert(query.id.clone(), Arc::new(query.as_ref().clone()));
                }
                QueryAction::Stop(id) => {
                    Arc::make_mut(&mut self.queries).remove(id);
                }
                QueryAction::Pause(id) => self.set_paused(id, true),
                QueryAction::Resume(id) => self.set_paused(id, false),
            }
        }
        for topic in &command.delete_topics {
            Arc::make_mut(&mut self.topics).insert(topic.name.clone(), None);
            Arc::make_mut(&mut self.doomed).push(topic.clone());
        }
        for (name, value) in &command.settings {
            let settings = Arc::make_mut(&mut self.settings);
            match value {
                Some(value) => settings.insert(name.clone(), value.clone()),
                None => settings.remove(name),
            };
        }
        self.next_command = number + 1;
    }

    fn set_paused(&mut self, id: &QueryId, paused: bool) {
        if let Some(query) = self.catalog.query(id) {
            let query = crate::catalog::PersistentQuery { paused, ..query.as_ref().clone() };
            self.catalog = self.catalog.with(CatalogChange::PutQuery(Box::new(query)));
        }
    }

    /// What commands did to a topic: `Some(Some)` created it, `Some(None)` deleted it, `None` did nothing.
    pub(super) fn topic(&self, name: &str) -> Option<Option<&TopicConfig>> {
        self.topics.get(name).map(Option::as_ref)
    }

    /// Topics that commands created and sources still use: what must exist after a replay.
    pub(super) fn wanted_topics(&self) -> impl Iterator<Item = (&str, &TopicConfig)> {
        self.topics.iter().filter_map(|(name, config)| {
            let used = self.catalog.sources().any(|source| source.topic == *name);
            config.as_ref().filter(|_| used).map(|config| (name.as_str(), config))
        })
    }

    /// Topics that commands deleted: what must not exist after a replay.
    pub(super) fn doomed_topics(&self) -> &[DoomedTopic] {
        &self.doomed
    }

    /// The world as a sandbox begins with it: what commands did to topics is done, and what comes counts anew.
    #[must_use]
    pub(super) fn settled(&self) -> Self {
        Self { topics: Arc::default(), doomed: Arc::default(), ..self.clone() }
    }
}
