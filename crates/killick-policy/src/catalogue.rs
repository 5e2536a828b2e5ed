//! The operations that policies may name, and the schema that policies are held against.

use std::collections::{BTreeMap, BTreeSet};

use killick_model::EffectWord;

/// The schema as people read it; operations are added to it.
pub(crate) const SCHEMA_TEXT: &str = include_str!("../../../policies/killick.cedarschema");

/// Every operation of every pack, with the effects that it may have. Policies may name these and no others.
#[derive(Clone, Debug, Default)]
pub struct ActionCatalogue {
    operations: BTreeMap<String, BTreeSet<&'static str>>,
}

impl ActionCatalogue {
    /// The most bytes of an operation's name.
    pub const OPERATION_BYTES_MAX: usize = 256;

    /// Returns a catalogue without operations: policies may speak of effects only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation (`PACK.OPERATION`) with effects that it may have; effects of one added before stay.
    ///
    /// # Errors
    /// The name is one that no policy could write, or an effect's own.
    pub fn add(
        &mut self,
        operation: &str,
        effects: impl IntoIterator<Item = EffectWord>,
    ) -> Result<(), OperationNameError> {
        check_operation(operation)?;
        let known = self.operations.entry(operation.to_owned()).or_default();
        known.extend(effects.into_iter().map(EffectWord::as_str));
        Ok(())
    }

    /// Returns how many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns the schema in which the operations in `named` are known, if the catalogue has them. The
    /// rest of the catalogue is left out: each operation in the schema costs a check of every policy.
    pub(crate) fn schema_text(&self, named: &BTreeSet<String>) -> String {
        let mut actions = String::new();
        for word in EffectWord::ALL {
            // Stands for all operations that no policy names, so that a policy about an effect is about something.
            actions.push_str(&action(&format!("(any other).{word}"), [word.as_str()]));
        }
        for (name, effects) in self.operations.iter().filter(|(name, _)| named.contains(*name)) {
            let unrecognized = EffectWord::Unrecognized.as_str();
            let effects: BTreeSet<_> = effects.iter().copied().chain([unrecognized]).collect();
            actions.push_str(&action(name, effects));
        }
        match SCHEMA_TEXT.rsplit_once('}') {
            Some((body, _)) => format!("{body}{actions}}}\n"),
            // Not a schema, and refused as such.
            None => actions,
        }
    }
}

fn action<'a>(name: &str, effects: impl IntoIterator<Item = &'a str>) -> String {
    let parents: Vec<String> =
        effects.into_iter().map(|effect| format!("Action::\"{effect}\"")).collect();
    format!(
        "  action \"{name}\" in [{}]\n    appliesTo {{ principal: [Session], resource: [Object], context: Call }};\n",
        parents.join(", ")
    )
}

/// Checks that policies can write an operation's name: printable ASCII that needs no escape.
fn check_operation(operation: &str) -> Result<(), OperationNameError> {
    let printable = |b: u8| (b == b' ' || b.is_ascii_graphic()) && b != b'"' && b != b'\\';
    if !(1..=ActionCatalogue::OPERATION_BYTES_MAX).contains(&operation.len()) {
        Err(OperationNameError::Length)
    } else if !operation.bytes().all(printable) {
        Err(OperationNameError::Character)
    } else if passes_for_another(operation) {
        Err(OperationNameError::Effect)
    } else {
        Ok(())
    }
}

/// Returns whether an operation of this name would be taken for an effect or for all other operations: one called
/// `read` would be in every policy's `action in read`, whatever it does.
pub(crate) fn passes_for_another(operation: &str) -> bool {
    operation.starts_with('(') || EffectWord::ALL.iter().any(|word| word.as_str() == operation)
}

/// The text cannot be the name of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationNameError {
    /// Empty or too long.
    #[error("an operation's name has 1 to {} bytes", ActionCatalogue::OPERATION_BYTES_MAX)]
    Length,
    /// A character that policies cannot write plainly.
    #[error("an operation's name is printable ASCII without quotes and backslashes")]
    Character,
    /// The word of an effect.
    #[error("an operation cannot have the name of an effect")]
    Effect,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Schema;

    #[test]
    fn an_operation_cannot_take_the_name_of_an_effect() {
        let mut catalogue = ActionCatalogue::new();
        for word in EffectWord::ALL {
            assert_eq!(
                catalogue.add(word.as_str(), [EffectWord::Destroy]),
                Err(OperationNameError::Effect)
            );
        }
        assert!(catalogue.add("acme.x\" in [Action::\"read", [EffectWord::Destroy]).is_err());
        assert!(catalogue.add("acme.löschen", [EffectWord::Destroy]).is_err());
        assert!(catalogue.add("", [EffectWord::Destroy]).is_err());
        assert!(catalogue.add("acme.DELETE /volumes/{id}", [EffectWord::Destroy]).is_ok());
    }

    #[test]
    fn the_schema_knows_the_named_operations_and_no_others() {
        let mut catalogue = ActionCatalogue::new();
        catalogue.add("acme.upsert", [EffectWord::Write, EffectWord::Destroy]).unwrap();
        catalogue.add("acme.list", [EffectWord::Read]).unwrap();
        let text = catalogue.schema_text(&["acme.upsert".to_owned(), "acme.gone".into()].into());
        let (schema, warnings) = Schema::from_cedarschema_str(&text).unwrap();
        assert_eq!(warnings.count(), 0);
        let actions: Vec<String> = schema.actions().map(ToString::to_string).collect();
        assert!(actions.iter().any(|it| it.contains("acme.upsert")));
        assert!(!actions.iter().any(|it| it.contains("acme.list") || it.contains("acme.gone")));
    }
}
