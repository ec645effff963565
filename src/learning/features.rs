//! Features as a TOML file: names and expressions in their order. It compiles none of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::scoring::model::{FEATURES_MAX, file::is_name};

/// The features that a model is trained on unless others are named: those of the shipped model.
pub const SHIPPED: &str = include_str!("../../models/features.toml");

/// A feature's name and its expression.
pub type NamedExpression = (String, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    features: BTreeMap<Spanned<String>, String>,
}

/// The features of a file's text, in the order they are written in; or what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<NamedExpression>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut features: Vec<(Spanned<String>, String)> = file.features.into_iter().collect();
    features.sort_by_key(|(name, _)| name.span().start);
    if features.is_empty() || features.len() > FEATURES_MAX {
        return Err(format!("{} features, expected 1 to {FEATURES_MAX}", features.len()));
    }
    if let Some((name, _)) = features.iter().find(|(name, _)| !is_name(name.get_ref())) {
        return Err(format!("{:?} is no feature's name: expected letters, digits and `_`", name.get_ref()));
    }
    // `gavel features` writes the transaction's id under that name.
    if features.iter().any(|(name, _)| name.get_ref() == "id") {
        return Err("a feature cannot be called `id`, which is the transaction's".to_owned());
    }
    Ok(features.into_iter().map(|(name, expression)| (name.into_inner(), expression)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_file_is_kept() {
        let names = |text: &str| {
            parse(text).map(|features| features.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("[features]\nb = \"amount\"\na = \"night(time)\"\n"), Ok("b a".to_owned()));
        for (text, expected) in [
            ("", "missing field `features`"),
            ("[features]\n", "0 features, expected 1 to 255"),
            ("[features]\n\"a b\" = \"amount\"\n", "\"a b\" is no feature's name"),
            ("[feature]\na = \"amount\"\n", "unknown field `feature`"),
            ("[features]\nid = \"amount\"\n", "cannot be called `id`"),
            ("[features]\na = 1\n", "expected a string"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn the_shipped_features_are_readable() {
        assert!(parse(SHIPPED).is_ok_and(|features| features.len() >= 10));
    }
}
