//! A source as Rust's own tokens, with what is compiled for tests alone set apart.
//!
//! Tokens see no comments, and strings are one token each, so a rule about code is not set off by a
//! sentence about code.

use crate::sources::Source;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::ops::RangeInclusive;

/// One token outside test code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// An identifier, one character of punctuation, a bracket, or a whole literal.
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// The product part of a source file.
#[derive(Debug, Default)]
pub(crate) struct Product {
    /// Every token that is not in test code.
    pub(crate) tokens: Vec<Token>,
    /// The lines of items under `#[cfg(test)]`.
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Product {
    /// Reads a file. A file that is not Rust is an error: what cannot be read cannot be cleared.
    pub(crate) fn of(source: &Source) -> Result<Self, String> {
        let stream: TokenStream =
            source.text.parse().map_err(|error| format!("cannot be read as Rust: {error}"))?;
        let mut product = Self::default();
        product.walk(stream);
        Ok(product)
    }

    /// Whether a line belongs to an item that is compiled for tests alone.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Returns the lines at which a sequence of tokens begins.
    pub(crate) fn lines_with(&self, sequence: &[&str]) -> Vec<usize> {
        self.tokens
            .windows(sequence.len().max(1))
            .filter(|window| {
                window.iter().map(|token| token.text.as_str()).eq(sequence.iter().copied())
            })
            .filter_map(|window| window.first().map(|token| token.line))
            .collect()
    }

    fn walk(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut rest = trees.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if let Some((item, after)) = split_test_item(rest) {
                if let (Some(from), Some(to)) = (item.first(), item.last()) {
                    self.test_lines.push(from.span().start().line..=to.span().end().line);
                }
                rest = after;
                continue;
            }
            match first {
                TokenTree::Group(group) => self.walk_group(group),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.push(first.to_string(), first.span().start().line);
                }
            }
            rest = after;
        }
    }

    fn walk_group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        self.push(open.to_owned(), group.span_open().start().line);
        self.walk(group.stream());
        self.push(close.to_owned(), group.span_close().start().line);
    }

    fn push(&mut self, text: String, line: usize) {
        self.tokens.push(Token { text, line });
    }
}

/// Splits off the test-only item that begins here, if one does.
fn split_test_item(trees: &[TokenTree]) -> Option<(&[TokenTree], &[TokenTree])> {
    match trees {
        [hash, TokenTree::Group(attribute), item @ ..]
            if is_punct(hash, '#') && is_test_cfg(attribute) =>
        {
            let after = after_item(item);
            trees.split_at_checked(trees.len().checked_sub(after.len())?)
        }
        [hash, bang, TokenTree::Group(attribute), ..]
            if is_punct(hash, '#') && is_punct(bang, '!') && is_test_cfg(attribute) =>
        {
            Some((trees, &[]))
        }
        _ => None,
    }
}

/// `cfg(test)`, or `cfg(all(test, ...))`. An `any` may be in the product, so it is not test code.
fn is_test_cfg(attribute: &Group) -> bool {
    let trees: Vec<TokenTree> = attribute.stream().into_iter().collect();
    let [TokenTree::Ident(cfg), TokenTree::Group(condition)] = trees.as_slice() else {
        return false;
    };
    let condition: Vec<TokenTree> = condition.stream().into_iter().collect();
    cfg == "cfg"
        && match condition.as_slice() {
            [TokenTree::Ident(test)] => test == "test",
            [TokenTree::Ident(all), TokenTree::Group(parts)] => {
                all == "all"
                    && matches!(
                        parts.stream().into_iter().collect::<Vec<_>>().as_slice(),
                        [TokenTree::Ident(test), TokenTree::Punct(comma), ..]
                            if test == "test" && comma.as_char() == ','
                    )
            }
            _ => false,
        }
}

/// Returns what follows an item, given what follows its first attribute.
///
/// An item ends with its braces or a semicolon. Anything else that can carry an attribute (a field,
/// an arm, a statement) ends at a comma too, so that the mask never runs on into its neighbours.
fn after_item(mut trees: &[TokenTree]) -> &[TokenTree] {
    const ITEM_WORDS: [&str; 14] = [
        "async", "const", "enum", "extern", "fn", "impl", "mod", "pub", "static", "struct",
        "trait", "type", "unsafe", "use",
    ];
    while let [hash, TokenTree::Group(_), rest @ ..] = trees
        && is_punct(hash, '#')
    {
        trees = rest;
    }
    let is_item = matches!(trees.first(), Some(TokenTree::Ident(word))
        if ITEM_WORDS.iter().any(|item| word == item));
    while let Some((tree, rest)) = trees.split_first() {
        trees = rest;
        let ends = match tree {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(mark) => mark.as_char() == ';' || (mark.as_char() == ',' && !is_item),
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        if ends {
            break;
        }
    }
    trees
}

fn is_punct(tree: &TokenTree, mark: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    fn product(text: &str) -> Product {
        Product::of(&fixture("crates/x/src/lib.rs", text)).unwrap()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "// TcpStream\n/* TcpStream */\n/// TcpStream\nconst A: &str = \"TcpStream\";";
        assert!(product(text).lines_with(&["TcpStream"]).is_empty());
    }

    #[test]
    fn code_is_found_with_its_line_however_it_is_spaced() {
        let text = "fn f() {\n    Command :: /* x */ new(\"ls\");\n}";
        assert_eq!(product(text).lines_with(&["Command", ":", ":", "new"]), [2]);
    }

    #[test]
    fn a_test_module_is_set_apart_and_what_follows_it_is_not() {
        let text = "#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n  use a::Bad;\n}\nuse b::Bad;";
        let product = product(text);
        assert_eq!(product.lines_with(&["Bad"]), [6]);
        assert!(product.is_test_line(4) && !product.is_test_line(6));
    }

    #[test]
    fn a_test_only_field_does_not_hide_the_field_after_it() {
        let text = "struct S {\n  #[cfg(test)]\n  a: u8,\n  b: Bad,\n}";
        assert_eq!(product(text).lines_with(&["Bad"]), [4]);
    }

    #[test]
    fn only_a_condition_that_needs_tests_hides_code() {
        assert!(product("#[cfg(all(test, unix))] fn f() { Bad }").lines_with(&["Bad"]).is_empty());
        assert!(product("#![cfg(test)]\nfn f() { Bad }").lines_with(&["Bad"]).is_empty());
        for open in ["cfg(any(test, unix))", "cfg(not(test))", "cfg(unix)", "test"] {
            let text = format!("#[{open}] fn f() {{ Bad }}");
            assert_eq!(product(&text).lines_with(&["Bad"]), [1], "{open}");
        }
    }

    #[test]
    fn a_file_that_is_not_rust_is_an_error() {
        assert!(Product::of(&fixture("x.rs", "fn f( {")).is_err());
    }
}
