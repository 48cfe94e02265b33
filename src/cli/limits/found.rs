//! Shows the limits that `limits --live` has found, and their origin, as text or as JSON.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::domain::{Dimension, LearnedPool, ModelClass, ProviderKind, RateLimits, Speed};
use crate::journal::LearnedLimits;
use crate::provider::anthropic::rate_limits::LimitGroup;
use crate::report::text::{count, duration, escape};

/// The limits that were found. The variant says where the limits come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The API's list of the limits of the organization.
    Organization {
        /// The origin of the API.
        origin: String,
        /// The groups of limits in the list.
        groups: Vec<LimitGroup>,
    },
    /// The limits that a run learned from responses.
    Run {
        /// The run folder.
        folder: PathBuf,
        /// The limits that the run learned.
        learned: LearnedLimits,
    },
    /// The limits in the response to a message.
    Message {
        /// The origin of the API, or `simulator`.
        origin: String,
        /// The model to which the message was sent.
        model: String,
        /// The limits of the model's class.
        pool: LearnedPool,
    },
}

impl Found {
    /// Removes all limits that do not apply to the model `model`.
    pub(super) fn of_model(self, catalog: &Catalog, model: &str) -> Self {
        let class = catalog.class_of(model);
        match self {
            Self::Organization { origin, groups } => {
                let groups = groups.into_iter().filter(|group| has_model(group, catalog, model)).collect();
                Self::Organization { origin, groups }
            }
            Self::Run { folder, mut learned } => {
                learned.pools.retain(|pool| pool.class == class);
                Self::Run { folder, learned }
            }
            Self::Message { .. } => self,
        }
    }

    /// Returns a provider's standard-speed limits for a model; `None` if these limits were not found.
    pub(super) fn limits(&self, catalog: &Catalog, model: &str, provider: &str) -> Option<RateLimits> {
        let of_pools = |pools: &[LearnedPool]| {
            let class: ModelClass = catalog.class_of(model);
            let is_it = |pool: &&LearnedPool| {
                *pool.provider == *provider && pool.class == class && pool.speed == Speed::Standard
            };
            pools.iter().find(is_it).map(|pool| pool.limits)
        };
        let limits = match self {
            Self::Organization { groups, .. } => {
                groups.iter().find(|group| has_model(group, catalog, model)).map(LimitGroup::rate_limits)
            }
            Self::Run { learned, .. } => of_pools(&learned.pools),
            Self::Message { pool, .. } => of_pools(std::slice::from_ref(pool)),
        };
        limits.filter(|limits| *limits != RateLimits::NONE)
    }

    /// Returns the origin of the server that reported the limits.
    pub(super) fn origin(&self) -> &str {
        match self {
            Self::Organization { origin, .. } | Self::Message { origin, .. } => origin,
            Self::Run { learned, .. } => &learned.origin,
        }
    }

    /// Returns whether no limits were found.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Organization { groups, .. } => groups.is_empty(),
            Self::Run { learned, .. } => learned.pools.is_empty(),
            Self::Message { .. } => false,
        }
    }

    /// Returns the limits as lines of text.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        match self {
            Self::Organization { origin, groups } => {
                let head = format!("limits of the organization, asked from {}", escape(origin));
                [head].into_iter().chain(groups.iter().flat_map(group_lines)).collect()
            }
            Self::Run { folder, learned } => {
                let folder = folder.display().to_string();
                let head = format!(
                    "limits as the run {} learned them from {}, {}",
                    escape(&folder),
                    escape(&learned.origin),
                    age(learned.at, now)
                );
                [head].into_iter().chain(learned.pools.iter().flat_map(pool_lines)).collect()
            }
            Self::Message { origin, model, pool } => {
                let head = format!("limits for {}, reported by {}", escape(model), escape(origin));
                [head].into_iter().chain(pool_lines(pool)).collect()
            }
        }
    }

    /// Returns the limits as a JSON document, on one line.
    pub(super) fn json(&self, now: Timestamp) -> String {
        let document = match self {
            Self::Organization { origin, groups } => {
                let limit = |(name, value): &(String, u64)| json!({ "type": name, "value": value });
                let group = |group: &LimitGroup| {
                    let limits: Vec<Value> = group.limits.iter().map(limit).collect();
                    json!({ "type": group.kind, "name": group.name, "models": group.models, "limits": limits })
                };
                let groups: Vec<Value> = groups.iter().map(group).collect();
                json!({ "v": 1, "source": "organization", "origin": origin, "at": now, "groups": groups })
            }
            Self::Run { folder, learned } => {
                let pools: Vec<Value> = learned.pools.iter().map(pool_json).collect();
                let run = folder.display().to_string();
                json!({ "v": 1, "source": "run", "origin": learned.origin, "at": learned.at, "run": run, "pools": pools })
            }
            Self::Message { origin, model, pool } => {
                let pools = [pool_json(pool)];
                json!({ "v": 1, "source": "message", "origin": origin, "at": now, "model": model, "pools": pools })
            }
        };
        document.to_string()
    }
}

/// Returns whether a group contains a model, under any of the model's names.
fn has_model(group: &LimitGroup, catalog: &Catalog, model: &str) -> bool {
    let id = |name: &str| catalog.model(name).map_or_else(|| name.to_owned(), |model| model.id.to_string());
    let wanted = id(model);
    group.models.iter().any(|own| id(own) == wanted)
}

fn age(at: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(now.duration_since(at)) {
        Ok(age) => format!("{} ago", duration(Duration::from_secs(age.as_secs()))),
        // The time can be in the future if the clock of the machine that wrote the file was wrong.
        Err(_) => format!("at {at}"),
    }
}

fn group_lines(group: &LimitGroup) -> Vec<String> {
    let models = group.models.join(", ");
    let models = if models.is_empty() { String::new() } else { format!(": {}", escape(&models)) };
    let mut lines = vec![format!("  {}{models}", escape(&group.name))];
    lines.extend(group.limits.iter().map(|(name, value)| format!("    {:>11} {}", count(*value), words_of(name))));
    lines
}

/// Translates the API's name of a limit into words for the user. An unknown name is returned as it is.
fn words_of(name: &str) -> String {
    match name {
        "requests_per_minute" => "requests per minute".to_owned(),
        "input_tokens_per_minute" => "input tokens per minute (cache reads count)".to_owned(),
        "input_tokens_per_minute_cache_aware" => "input tokens per minute (cache reads do not count)".to_owned(),
        "output_tokens_per_minute" => "output tokens per minute".to_owned(),
        "tokens_per_minute" => "tokens per minute".to_owned(),
        "tokens_per_day" => "tokens per day".to_owned(),
        "enqueued_batch_requests" => "batch requests in the queue".to_owned(),
        other => escape(other).into_owned(),
    }
}

fn pool_lines(pool: &LearnedPool) -> Vec<String> {
    let speed = match pool.speed {
        Speed::Standard => "",
        Speed::Fast => " (fast)",
    };
    let at = match &*pool.provider {
        provider if provider == ProviderKind::Anthropic.name() => String::new(),
        provider => format!(" at {}", escape(provider)),
    };
    let mut lines = vec![format!("  {}{speed}{at}", escape(&pool.class.0))];
    for dimension in Dimension::ALL {
        let name = match dimension {
            Dimension::Requests => "requests",
            Dimension::InputTokens => "input tokens",
            Dimension::OutputTokens => "output tokens",
        };
        let Some(limit) = pool.limits.of(dimension) else {
            lines.push(format!("    {:>11} {name} per minute: not reported", "?"));
            continue;
        };
        let burst = pool.bursts[dimension.index()].filter(|burst| is_short(*burst, limit));
        let burst = burst.map(|burst| format!(", about {} at once", count(burst.into()))).unwrap_or_default();
        lines.push(format!("    {:>11} {name} per minute{burst}", count(limit.into())));
    }
    lines
}

/// Returns whether a burst limit is clearly lower than the limit per minute. The comparison has a tolerance of one
/// tenth, because the real burst limit can be a little higher than the largest burst that the run saw.
fn is_short(burst: u32, limit: u32) -> bool {
    u64::from(burst) * 10 < u64::from(limit) * 9
}

fn pool_json(pool: &LearnedPool) -> Value {
    let RateLimits { rpm, itpm, otpm } = pool.limits;
    let [requests, input_tokens, output_tokens] = pool.bursts;
    json!({
        "provider": &*pool.provider,
        "class": &*pool.class.0,
        "speed": pool.speed.name(),
        "limits": { "rpm": rpm, "itpm": itpm, "otpm": otpm },
        "bursts": { "requests": requests, "input_tokens": input_tokens, "output_tokens": output_tokens },
    })
}
