//! Template text: literal text with `{placeholders}`, as in `USER#{id}`.

/// A part of a template, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePiece {
    Literal(String),
    /// The name between the braces, without white space around it.
    Placeholder(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where the trouble starts, in bytes from the start of the template.
    pub offset: usize,
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Splits a template into its pieces. Neighbouring literals are one piece; the empty template has none.
pub fn parse(template: &str) -> Result<Vec<TemplatePiece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(found) = template[at..].find(['{', '}']) {
        let brace = at + found;
        if template[brace..].starts_with('}') {
            return Err(error(
                brace,
                "this `}` closes no placeholder",
                "remove it, or write the `{` before the column's name",
            ));
        }
        if brace > at {
            pieces.push(TemplatePiece::Literal(template[at..brace].to_owned()));
        }
        let inside = brace + 1;
        let close = match template[inside..].find(['{', '}']) {
            None => {
                return Err(error(
                    brace,
                    "this `{` is not closed",
                    "write `}` after the column's name",
                ));
            }
            Some(i) if template[inside + i..].starts_with('{') => {
                return Err(error(
                    inside + i,
                    "a placeholder stands inside a placeholder",
                    "close the first one with `}` before the next `{`",
                ));
            }
            Some(i) => inside + i,
        };
        pieces.push(TemplatePiece::Placeholder(placeholder(
            template, inside, close,
        )?));
        at = close + 1;
    }
    if at < template.len() {
        pieces.push(TemplatePiece::Literal(template[at..].to_owned()));
    }
    Ok(pieces)
}

/// Whether any piece is a placeholder.
pub fn has_placeholder(pieces: &[TemplatePiece]) -> bool {
    pieces
        .iter()
        .any(|p| matches!(p, TemplatePiece::Placeholder(_)))
}

fn placeholder(template: &str, inside: usize, close: usize) -> Result<String, TemplateError> {
    let written = &template[inside..close];
    let name = written.trim();
    if name.is_empty() {
        return Err(error(
            inside - 1,
            "this placeholder names nothing",
            "write an attribute's or a column's name between the braces",
        ));
    }
    // `${id}` and `{id:08d}` come from other template languages, where they mean something else.
    if inside >= 2 && template[..inside - 1].ends_with('$') {
        return Err(error(
            inside - 2,
            "`${…}` is not how a placeholder is written",
            &format!("write `{{{name}}}` without the `$`"),
        ));
    }
    if let Some(colon) = name.find([':', '|']) {
        return Err(error(
            inside,
            "a placeholder holds a name only, without a format",
            &format!(
                "declare an attribute with that `date-format` or `number-format` and name it here instead of `{}`",
                name[..colon].trim()
            ),
        ));
    }
    Ok(name.to_owned())
}

fn error(offset: usize, message: &str, help: &str) -> TemplateError {
    TemplateError {
        offset,
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(s: &str) -> TemplatePiece {
        TemplatePiece::Literal(s.to_owned())
    }

    fn name(s: &str) -> TemplatePiece {
        TemplatePiece::Placeholder(s.to_owned())
    }

    #[test]
    fn pieces_stand_in_the_order_of_the_text() {
        assert_eq!(
            parse("ORDER#{id}#{ line }!").unwrap(),
            [
                literal("ORDER#"),
                name("id"),
                literal("#"),
                name("line"),
                literal("!")
            ]
        );
        assert_eq!(parse("PROFILE").unwrap(), [literal("PROFILE")]);
        assert_eq!(parse("{a}{b}").unwrap(), [name("a"), name("b")]);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(
            parse("größe#{größe}").unwrap(),
            [literal("größe#"), name("größe")]
        );
    }

    #[test]
    fn what_is_no_template_is_told_with_its_offset() {
        for (text, offset) in [
            ("USER#{id", 5),
            ("USER#id}", 7),
            ("{}", 0),
            ("é{ }", 2),
            ("{a{b}}", 2),
            ("x${id}", 1),
            ("{id:08d}", 1),
            ("{", 0),
        ] {
            assert_eq!(parse(text).unwrap_err().offset, offset, "{text}");
        }
    }
}
