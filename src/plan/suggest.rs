//! "Did you mean": the nearest known name, and lists short enough to read.

/// The known name nearest to `name`, if it is near enough to be meant.
pub(super) fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const LONGEST: usize = 128;
    if name.len() > LONGEST {
        return None;
    }
    let wanted = name.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|k| k.len() <= LONGEST)
        .map(|k| (strsim::damerau_levenshtein(&wanted, &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Names in backticks with commas between them; empty where there are more than a person reads.
pub(super) fn short_list<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    const MOST: usize = 20;
    let names: Vec<_> = names.into_iter().take(MOST + 1).collect();
    (!names.is_empty() && names.len() <= MOST).then(|| list(names))
}

/// Names in backticks with commas between them.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names
        .into_iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// "did you mean `x`?", else "known are …", else nothing.
pub(super) fn help<'n>(
    name: &str,
    what: &str,
    known: impl IntoIterator<Item = &'n str> + Clone,
) -> Option<String> {
    match closest(name, known.clone()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => short_list(known).map(|names| format!("{what}: {names}")),
    }
}
