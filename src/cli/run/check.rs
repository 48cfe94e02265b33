//! Checks the settings of a run before the input is read.

use std::sync::Arc;

use anyhow::Result;

use super::super::{catalogs, models, parts, server, simulator};
use super::connection::Connection;
use super::new_run::NewRun;
use super::watchdog;
use crate::catalog::Catalog;
use crate::report::text::escape;
use crate::source;
use crate::transport::Authorization;
use crate::transport::http::check_authorities;

impl NewRun<'_> {
    /// Starts a watchdog for each template. A watchdog stops the program if filling in one row takes too long.
    pub(super) fn watch_templates(&self) -> Result<()> {
        let source::Options { template, system, .. } = &self.plan.options;
        let mut templates = template.iter().chain(system);
        Ok(templates.try_for_each(|template| watchdog::watch(template.clone(), self.input_names()))?)
    }

    /// Checks all settings before the parts of the run are made. Rejects a setting now if a part of the run would
    /// reject it later. Returns the catalog.
    pub(super) fn check_settings(&mut self) -> Result<Arc<Catalog>> {
        let catalog = catalogs::catalog(&self.config)?;
        models::check_flags(&self.config, &catalog)?;
        parts::provider(&self.config)?;
        if self.config.simulate {
            for provider in self.config.providers() {
                simulator::config(&catalog, &self.config, provider)?;
            }
        }
        self.origin = server::origin(&self.config)?;
        self.connection = Connection::find(&self.config, self.world)?;
        self.chain_connections = self.check_chain()?;
        self.warn(&self.connection.warnings);
        self.chain_connections.iter().for_each(|connection| self.warn(&connection.warnings));
        parts::window(&self.config, self.files_of_request())?;
        if let Some(pem) = &self.config.ca_pem {
            check_authorities(pem)?;
        }
        Ok(catalog)
    }

    /// Returns the key of the first provider. Returns `None` for a dry run and for a run with the simulator, because
    /// these runs need no key.
    pub(super) fn key(&self) -> Result<Option<Authorization>> {
        if self.config.simulate || self.config.dry_run {
            return Ok(None);
        }
        self.key_for_counting()
    }

    /// Returns the key for counting tokens. A dry run also needs this key. Returns `None` for a run with the simulator.
    pub(super) fn key_for_counting(&self) -> Result<Option<Authorization>> {
        if self.config.simulate {
            return Ok(None);
        }
        self.said_key(parts::key(&self.config, self.world)).map(Some)
    }

    /// Prints the warnings about a key, and returns how requests are authorized.
    pub(super) fn said_key(&self, found: Result<(Authorization, Vec<String>)>) -> Result<Authorization> {
        let (authorization, warnings) = found?;
        warnings.iter().for_each(|text| self.say_whole(&format!("warning: {}", escape(text))));
        Ok(authorization)
    }
}
