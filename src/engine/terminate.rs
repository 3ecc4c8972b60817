//! The end of a service: ksqlDB's `/ksql/terminate`.
//!
//! One command ends every query and forgets every source, type, function and setting, so that a crash leaves all or
//! nothing of it to do; then the database closes. The log keeps the topics that no pattern names, and the commands: a
//! server that is started on it again begins empty.

use std::sync::Arc;

use regex::Regex;

use crate::catalog::{Catalog, CatalogChange};
use crate::diagnostics::{Code, Diagnostic};

use super::answer::Failure;
use super::command::{Command, CommandId, DoomedTopic, QueryAction};
use super::database::Engine;
use super::entity::Entity;
use super::scope::storage;

impl Engine {
    /// Ends the service. Topics that queries made and whose whole name matches one of the patterns are deleted.
    ///
    /// # Errors
    /// A pattern is no regular expression; nothing is changed. Or the log refuses.
    pub fn terminate(&self, delete_topics: &[String]) -> Result<Vec<Entity>, Box<Failure>> {
        self.check_open().map_err(Failure::general)?;
        let patterns = delete_topics.iter().map(|text| pattern(text)).collect::<Result<Vec<_>, _>>();
        let patterns = patterns.map_err(Failure::general)?;
        let mut commands = self.commands.lock();
        let world = self.world();
        let catalog = &world.catalog;
        let id = CommandId::new("cluster", "TerminateCluster", "terminate");
        let mut command = Command::new(id, "TERMINATE CLUSTER;".to_owned(), "Cluster terminated.");
        command.queries.extend(world.queries.keys().cloned().map(QueryAction::Stop));
        command.changes = everything(catalog);
        command.settings = world.settings.keys().map(|name| (name.clone(), None)).collect();
        let made = catalog.queries().filter_map(|query| catalog.source(&query.sink)).map(|sink| sink.topic.as_str());
        let made: std::collections::BTreeSet<&str> = made.collect();
        for name in made.into_iter().filter(|name| patterns.iter().any(|pattern| pattern.is_match(name))) {
            let topic = self.log.topic(name).map_err(|error| Failure::general(storage(&error)))?;
            command.delete_topics.extend(topic.map(|topic| DoomedTopic { name: topic.name, id: topic.id }));
        }
        let entity = self.carry_out(&command, &mut commands).map_err(Failure::general)?;
        drop(commands);
        self.shutdown();
        Ok(vec![entity])
    }
}

/// The changes that leave nothing.
fn everything(catalog: &Catalog) -> Vec<CatalogChange> {
    let queries = catalog.queries().map(|query| CatalogChange::DropQuery(query.id.clone()));
    let sources = catalog.sources().map(|source| CatalogChange::DropSource(source.name.clone()));
    let types = catalog.custom_types().map(|(name, _)| CatalogChange::DropType(name.clone()));
    let functions = Arc::clone(catalog.functions());
    let functions = functions.keys().cloned().map(CatalogChange::DropFunction);
    queries.chain(sources).chain(types).chain(functions).collect()
}

/// The pattern of a topic's whole name.
fn pattern(text: &str) -> Result<Regex, Diagnostic> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| {
        Diagnostic::new(Code::InvalidProperty, format!("Invalid pattern: {text}")).with_detail(error.to_string())
    })
}
