//! The command `check`, which sends nothing.

use anyhow::Result;

use super::args::CheckArgs;
use super::columns;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::{answer_notes, answers, catalogs, faults, models, parts, say};
use crate::report::text::{count, escape, plural};
use crate::runner::Progress;
use crate::runner::input::{Earlier, survey};

/// Reads and checks all rows and settings, as a run would.
pub(crate) fn check(args: &CheckArgs, world: &World) -> Result<Exit> {
    let config = Config::of_check(args, world)?;
    config.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    config.notes.iter().for_each(|note| say::err(&format!("note: {}", escape(note))));
    let catalog = catalogs::catalog(&config)?;
    let plan = parts::input_plan(&config)?;
    let planner = parts::planner(&config.provider.name, &config.request, &config.dialect, &catalog);
    let (name, rules) = (config.provider.name.clone(), config.provider.rules.clone());
    let planner = planner.with_rules(name, rules).with_shaping(answers::shaping(
        &config.answers,
        &catalog,
        config.provider.features,
    ));
    let mut planner = planner.without_unknown_models().with_conditions(config.answers.require.clone());
    let found = survey(&plan, &mut planner, &Earlier::none(), faults::SHOWN, &Progress::default())?;
    found.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    columns::lines(&plan, &found, config.request.system_text()).iter().for_each(|text| say::err(text));
    let models = found.models.keys().map(|model| &**model);
    answer_notes::schema_notes(&config.answers, &config.request.params, models, &catalog, config.provider.features)
        .iter()
        .for_each(|text| say::err(text));
    models::notes(&config, &catalog, &found).iter().for_each(|text| say::err(text));
    faults::listed(&found).iter().try_for_each(|line| say::out(line))?;
    if let Some(damage) = &found.damage {
        say::out(&escape(damage))?;
    }
    let refusal = models::refusal(&config, &found);
    refusal.iter().try_for_each(|message| say::out(message))?;
    if let Some(duplicate) = &found.duplicate {
        say::out(&escape(&duplicate.to_string()))?;
    }
    say::out(&format!(
        "{}: {} can be sent, {} can't",
        plural(found.rows, "row", "rows"),
        count(found.rows - found.unusable),
        count(found.unusable)
    ))?;
    for (model, sum) in &found.models {
        say::out(&format!(
            "  {}: {}, about {} input tokens",
            escape(model),
            plural(sum.rows, "row", "rows"),
            count(sum.input_tokens)
        ))?;
    }
    let is_sound = found.unusable == 0 && found.duplicate.is_none() && found.damage.is_none() && refusal.is_none();
    Ok(if is_sound { Exit::Done } else { Exit::Usage })
}
