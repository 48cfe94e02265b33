//! Models that the catalog does not know. An unknown model is from another vendor, has a misspelled name, or is newer
//! than this program.

use std::fmt;

use crate::catalog::{Catalog, vendor_of};
use crate::domain::{Speed, shortened};
use crate::source::nearest_names;

/// A model that the catalog does not know, with guesses about its vendor and its right name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    /// Its name.
    pub name: String,
    /// The other vendor, if the model is certainly not from Anthropic.
    pub vendor: Option<&'static str>,
    /// Up to three served models with similar names, the nearest first.
    nearest: Vec<String>,
}

impl UnknownModel {
    /// Returns the guesses for the name of an unknown model; `None` if the model is in the catalog or in a price file.
    pub fn find(catalog: &Catalog, name: &str) -> Option<Self> {
        if catalog.model(name).is_some() {
            return None;
        }
        let vendor = vendor_of(name);
        if vendor.is_none() && catalog.prices(Speed::Standard, name).is_some() {
            return None;
        }
        let served = catalog.models().iter().filter(|model| !model.is_retired());
        // Models are shown by their names without a date, because these are the names that people know.
        let names = served.map(|model| model.aliases.first().unwrap_or(&model.id));
        let nearest = if vendor.is_some() { Vec::new() } else { nearest_names(name, names.map(|name| &**name)) };
        Some(Self { name: name.to_owned(), vendor, nearest: nearest.into_iter().map(str::to_owned).collect() })
    }
}

impl fmt::Display for UnknownModel {
    /// Writes a text such as `claude-haku-4-5, which is not in the catalog (did you mean claude-haiku-4-5?)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shortened(&self.name))?;
        match self.vendor {
            Some(vendor) => write!(f, ", a model of {vendor}"),
            None if self.nearest.is_empty() => write!(f, ", which is not in the catalog"),
            None => write!(f, ", which is not in the catalog (did you mean {}?)", self.nearest.join(" or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_model_is_shown_with_the_nearest_names_of_served_models() {
        let catalog = Catalog::builtin();
        let told = |name: &str| UnknownModel::find(&catalog, name).map(|model| model.to_string());

        assert_eq!(told("claude-haiku-4-5"), None);
        assert_eq!(told("claude-opus-4-1"), None, "a retired model has its own notice");
        assert_eq!(told("my-proxy-model").as_deref(), Some("my-proxy-model, which is not in the catalog"));
        assert_eq!(told("gpt-4o").as_deref(), Some("gpt-4o, a model of OpenAI"));
        for (name, nearest) in [
            ("claude-haku-4-5", "(did you mean claude-haiku-4-5"),
            ("claude-haiku-4.5", "(did you mean claude-haiku-4-5"),
            ("anthropic/claude-haiku-4.5", "(did you mean claude-haiku-4-5"),
            ("claude-4-5-haiku", "(did you mean "),
            ("haiku", "claude-haiku-"),
        ] {
            assert!(told(name).is_some_and(|told| told.contains(nearest)), "{name}: {:?}", told(name));
        }
    }

    #[test]
    fn a_model_in_a_price_file_is_known() {
        let prices = "[[price]]\nmodel = \"my-proxy-model\"\ninput = 1.0\noutput = 5.0\n";
        let catalog = Catalog::builtin().with_prices(prices).expect("a good file");

        assert_eq!(UnknownModel::find(&catalog, "my-proxy-model"), None);
    }
}
