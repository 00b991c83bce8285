//! What may have been meant by a word that the format does not know.

/// What people and generators call our fields elsewhere.
const SYNONYMS: &[(&str, &str)] = &[
    ("table_name", "table"),
    ("name", "table"),
    ("name", "index_name"),
    ("name", "entity_type"),
    ("attribute_name", "name"),
    ("entity", "entity_type"),
    ("entity_name", "entity_type"),
    ("partition_key", "pk"),
    ("hash_key", "pk"),
    ("sort_key", "sk"),
    ("range_key", "sk"),
    ("pk_pattern", "pk_template"),
    ("sk_pattern", "sk_template"),
    ("pk", "pk_template"),
    ("sk", "sk_template"),
    ("indexes", "gsis"),
    ("global_secondary_indexes", "gsis"),
    ("non_key_attributes", "projected_attributes"),
    ("projection_type", "projection"),
    ("column", "source_column"),
    ("columns", "source_column"),
    ("transform", "transformation"),
    ("calc", "calculation"),
    ("description", "justification"),
    ("comment", "justification"),
    ("notes", "justification"),
    ("access_patterns", "satisfies"),
    ("where", "filter"),
    ("condition", "join_condition"),
    ("on", "join_condition"),
    ("join_condition", "join_conditions"),
    ("conditions", "join_conditions"),
    ("select", "select_column"),
    ("select_columns", "select_column"),
    ("column", "select_column"),
    ("columns", "select_columns"),
    ("table", "target_table"),
    ("source_table", "target_table"),
    ("alias", "join_alias"),
    ("hops", "joins"),
    ("separator", "chain_separator"),
    ("chain_separator", "separator"),
    ("default", "else_value"),
    ("default", "null_value"),
    ("else", "else_value"),
    ("else_value", "else"),
    ("default", "else"),
    ("function", "operation"),
    ("pattern", "format"),
    ("template", "format"),
    ("format", "template"),
    ("formula", "expression"),
    ("order", "order_by"),
];

/// Words that mean a word of ours.
const SAME: &[(&str, &str)] = &[
    ("string", "S"),
    ("number", "N"),
    ("binary", "B"),
    ("stringset", "SS"),
    ("numberset", "NS"),
    ("binaryset", "BS"),
    ("map", "M"),
    ("list", "L"),
    ("boolean", "BOOL"),
    ("text", "S"),
    ("list", "array"),
    ("map", "object"),
];

/// The field that was meant by `written`.
pub fn field<'n>(written: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let plain = normal(written);
    names
        .clone()
        .find(|n| normal(n) == plain)
        .or_else(|| {
            let snake = written.replace('-', "_").to_lowercase();
            let ours = |n: &&str| {
                SYNONYMS
                    .iter()
                    .any(|(theirs, ours)| *theirs == snake && ours == n)
            };
            names.clone().find(ours)
        })
        .or_else(|| word(written, names))
}

/// The word that is the same as `written` but for case and separators, or that has the same meaning.
pub fn same_word<'n>(
    written: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<&'n str> {
    let plain = normal(written);
    let translated = |n: &&str| {
        SAME.iter()
            .any(|(theirs, ours)| *theirs == plain && ours == n)
    };
    names
        .clone()
        .find(|n| normal(n) == plain)
        .or_else(|| names.clone().find(translated))
}

/// The word closest to `written`, if it is close.
pub fn word<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A long text is no misspelt word, and comparing it would take long.
    if written.len() > 64 {
        return None;
    }
    let plain = normal(written);
    names
        .map(|n| (strsim::damerau_levenshtein(&plain, &normal(n)), n))
        .filter(|(distance, n)| *distance <= n.len().max(plain.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, n)| n)
}

fn normal(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect::<String>()
        .to_ascii_lowercase()
}
