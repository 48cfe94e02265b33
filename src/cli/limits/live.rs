//! Finds the limits that apply now. The program looks for limits in this order:
//!
//! 1. The run that the user names.
//! 2. The API's list of the limits of the organization, if the key is an admin key. A request for the list of limits is
//!    free.
//! 3. The most recent limits that runs below the working folder have learned. These limits must come from the server
//!    that the settings name. To find learned limits, the program sends nothing.
//! 4. The response to a message of one token. The message is sent only if the user agrees.
//! 5. The limits that runs learned from another server, for example in a rehearsal. These limits are used only if the
//!    program can't send the message of one token. A note says that learned limits are from another server.
//!
//! With `--ask`, the program gets the limits only from the response to the message. With `--simulate --tier`, the
//! program also gets the limits only from this response, because `--tier` sets the limits of the simulator.

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::super::args::LimitsArgs;
use super::super::config::Config;
use super::super::config::authorization::with_first_key;
use super::super::config::credential::KeySource;
use super::super::config::world::World;
use super::super::exit::Exit;
use super::super::server::{self, Server, Stopped};
use super::super::{catalogs, message, say};
use super::asking;
use super::found::Found;
use super::save::Profile;
use super::{learned, organization};
use crate::catalog::Catalog;
use crate::journal::RealDisk;
use crate::provider::anthropic::rate_limits::is_admin_key;
use crate::report::text::escape;
use crate::transport::Authorization;
use crate::transport::http::Credential;

/// Shows the limits that apply now, and saves them if the user asks for it.
pub(super) fn show(args: &LimitsArgs, world: &World) -> Result<Exit> {
    let config = Config::of_settings(args.settings(), world)?;
    config.warnings.iter().for_each(|text| say::err(&format!("warning: {}", escape(text))));
    config.notes.iter().for_each(|text| say::err(&format!("note: {}", escape(text))));
    let catalog = catalogs::catalog(&config)?;
    let model = config.request.model.as_deref().unwrap_or(catalog.default_model());
    let profile = args.save.as_deref().map(|name| Profile::find(name, args, &config, world)).transpose()?;
    let found = match find(args, &config, &catalog, model, world)? {
        Ok(found) if args.model.is_some() => found.of_model(&catalog, model),
        Ok(found) => found,
        Err(Stopped { message, exit }) => {
            say::err(&message::lines(&message));
            return Ok(exit);
        }
    };
    if found.is_empty() {
        bail!("no limits of {} were found at {}; choose another model with -m", escape(model), escape(found.origin()));
    }
    let now = Timestamp::now();
    match args.json {
        true => say::out(&found.json(now))?,
        false => found.lines(now).iter().try_for_each(|line| say::out(line))?,
    }
    let origin = server::origin(&config)?;
    if args.run.is_none() && found.origin() != origin {
        say::err(&format!(
            "note: no run below this folder has learned the limits of {}; to ask the API for its limits, add --ask",
            escape(&origin)
        ));
        if profile.is_some() {
            bail!(
                "nothing was saved, because these limits are from another server ({}); to save them, name their run",
                escape(found.origin())
            );
        }
    }
    let Some(profile) = profile else { return Ok(Exit::Done) };
    let Some(limits) = found.limits(&catalog, model, &config.provider.name) else {
        bail!("nothing was saved, because no limits of {} were found; choose another model with -m", escape(model))
    };
    say::err(&profile.save(limits)?);
    Ok(Exit::Done)
}

/// Looks for limits in several places, in the order that is listed at the top of this file. Returns an inner `Err` if
/// the server rejects a request, or if a request fails.
fn find(
    args: &LimitsArgs,
    config: &Config,
    catalog: &Catalog,
    model: &str,
    world: &World,
) -> Result<Result<Found, Stopped>> {
    let disk = RealDisk::new(config.owners);
    if let Some(run) = &args.run {
        return Ok(Ok(learned::of_run(run, &disk)?));
    }
    let origin = server::origin(config)?;
    let key =
        if config.simulate || config.provider.key == KeySource::Missing { None } else { Some(key(config, world)?) };
    let mut elsewhere = None;
    // With --simulate --tier, earlier runs are not used, because they may have used another tier.
    let is_other_tier = config.simulate && args.tier.is_some();
    if !args.ask && !is_other_tier {
        if key.as_ref().and_then(|(_, first)| first.exposed()).is_some_and(is_admin_key) {
            let authorization = key.map(|(authorization, _)| authorization);
            return organization::ask(&Server::open(config, authorization, catalog, world)?);
        }
        let class = (args.model.is_some() || args.save.is_some()).then(|| catalog.class_of(model));
        match learned::latest(&world.working_folder, &origin, class.as_ref(), &disk) {
            Some(found) if found.origin() == origin => return Ok(Ok(found)),
            found => elsewhere = found,
        }
    }
    let can_ask = config.simulate || key.is_some() && (config.yes || asking::has_somebody(world));
    if let Some(found) = elsewhere.filter(|_| !can_ask) {
        return Ok(Ok(found));
    }
    if !config.simulate && !config.provider.features.rate_headers {
        bail!(
            "the provider {} reports no limits in its responses; see its console for the limits",
            config.provider.name
        );
    }
    let key = if key.is_none() && !config.simulate { Some(self::key(config, world)?) } else { key };
    asking::permission(config, catalog, model, &origin, world)?;
    let authorization = key.map(|(authorization, _)| authorization);
    Ok(asking::ask(&Server::open(config, authorization, catalog, world)?, catalog, model))
}

fn key(config: &Config, world: &World) -> Result<(Authorization, Credential)> {
    let (authorization, first, warnings) = with_first_key(&config.provider, world)?;
    warnings.iter().for_each(|text| say::err(&format!("warning: {}", escape(text))));
    Ok((authorization, first))
}
