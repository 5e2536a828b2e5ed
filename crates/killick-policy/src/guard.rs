//! Counts nesting before a parser that recurses sees the text.
//!
//! Cedar's parser ends the process when brackets nest a few hundred deep, and a long chain of operators
//! becomes a tree of the same depth that later steps walk and free by recursion. So the text is scanned
//! once, without recursion, and refused where a tree could become too deep.

/// Brackets, `if`s and prefix operators that may stand inside each other.
pub(crate) const NESTING_MAX: usize = 64;

/// Operators on the way from a policy to any expression in it: links of a chain, at every level around it.
pub(crate) const OPERATORS_MAX: usize = 256;

/// Prefix operators in a row. Cedar itself allows four.
const PREFIX_RUN_MAX: usize = 4;

/// Where and why a text is refused before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// Returns the byte at which each statement begins (its first token, annotations included).
pub(crate) fn statements(text: &str) -> Result<Vec<usize>, Refused> {
    let mut scan = Scan { text: text.as_bytes(), ..Scan::default() };
    while let Some(byte) = scan.peek(0) {
        scan.step(byte)?;
    }
    Ok(scan.starts)
}

/// A bracket that is open, or the statement itself.
#[derive(Default)]
struct Frame {
    /// Operators since the last comma.
    operators: usize,
    /// `if`s since the last comma: none of them has a visible end.
    ifs: usize,
}

#[derive(Default)]
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// Around the place where the scan stands, innermost last; the statement itself is `ground`.
    open: Vec<Frame>,
    ground: Frame,
    /// Sums over `open` and `ground`.
    operators: usize,
    ifs: usize,
    prefix_run: usize,
    starts: Vec<usize>,
    inside: bool,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn step(&mut self, byte: u8) -> Result<(), Refused> {
        if byte.is_ascii_whitespace() {
            self.advance(1);
            return Ok(());
        }
        if byte == b'/' && self.peek(1) == Some(b'/') {
            while self.peek(0).is_some_and(|b| b != b'\n' && b != b'\r') {
                self.advance(1);
            }
            return Ok(());
        }
        if !self.inside && byte != b';' {
            self.inside = true;
            self.starts.push(self.at);
        }
        if byte != b'!' && byte != b'-' {
            self.prefix_run = 0;
        }
        match byte {
            b'"' => self.string(),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' => self.word(),
            b'(' | b'[' | b'{' => {
                self.open.push(Frame::default());
                self.advance(1);
                self.within_limits()
            }
            b')' | b']' | b'}' => self.close(),
            b',' => {
                self.forget_segment();
                self.advance(1);
                Ok(())
            }
            b';' => {
                self.end_statement();
                Ok(())
            }
            b'!' | b'-' => {
                self.prefix_run = self.prefix_run.saturating_add(1);
                if self.prefix_run > PREFIX_RUN_MAX {
                    return self.refuse(format!("more than {PREFIX_RUN_MAX} `!` or `-` in a row"));
                }
                self.operator(1)
            }
            b'&' | b'|' | b'=' | b'<' | b'>' | b'+' | b'*' | b'/' | b'%' | b'.' | b':' | b'?'
            | b'@' => self.operator(1),
            _ => {
                self.advance(1);
                Ok(())
            }
        }
    }

    fn string(&mut self) -> Result<(), Refused> {
        let start = self.at;
        self.advance(1);
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'"'), _) => {
                    self.advance(1);
                    return Ok(());
                }
                // The grammar knows no escaped line break; reading on would lose step with it.
                (Some(b'\\'), None | Some(b'\n' | b'\r')) | (None, _) => {
                    self.at = start;
                    return self.refuse("the string does not end".into());
                }
                (Some(b'\\'), Some(_)) => self.advance(2),
                (Some(_), _) => self.advance(1),
            }
        }
    }

    fn word(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while self.peek(0).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.advance(1);
        }
        match self.text.get(start..self.at) {
            Some(b"if") => {
                self.frame().ifs = self.frame().ifs.saturating_add(1);
                self.ifs = self.ifs.saturating_add(1);
                self.within_limits()
            }
            Some(b"in" | b"has" | b"like" | b"is" | b"when" | b"unless") => self.operator(0),
            Some(_) | None => Ok(()),
        }
    }

    fn frame(&mut self) -> &mut Frame {
        self.open.last_mut().unwrap_or(&mut self.ground)
    }

    /// Counts an operator and steps over its bytes. Two-byte operators count twice; the limit is wide.
    fn operator(&mut self, bytes: usize) -> Result<(), Refused> {
        let frame = self.frame();
        frame.operators = frame.operators.saturating_add(1);
        self.operators = self.operators.saturating_add(1);
        self.advance(bytes);
        self.within_limits()
    }

    fn close(&mut self) -> Result<(), Refused> {
        self.forget_segment();
        if self.open.pop().is_none() {
            return self.refuse("a bracket closes that was never opened".into());
        }
        // What was in the brackets is one link in the chain around it: `f(a).g(b)`, `a["b"]["c"]`.
        self.operator(1)
    }

    fn forget_segment(&mut self) {
        let frame = std::mem::take(self.frame());
        self.operators = self.operators.saturating_sub(frame.operators);
        self.ifs = self.ifs.saturating_sub(frame.ifs);
    }

    fn end_statement(&mut self) {
        self.open.clear();
        self.ground = Frame::default();
        self.operators = 0;
        self.ifs = 0;
        self.inside = false;
        self.advance(1);
    }

    fn within_limits(&self) -> Result<(), Refused> {
        if self.open.len().saturating_add(self.ifs) > NESTING_MAX {
            return self.refuse(format!("nested deeper than {NESTING_MAX} levels"));
        }
        if self.operators > OPERATORS_MAX {
            return self.refuse(format!("more than {OPERATORS_MAX} operators in one expression"));
        }
        Ok(())
    }

    fn refuse<T>(&self, message: String) -> Result<T, Refused> {
        Err(Refused { offset: self.at.min(self.text.len()), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(condition: &str) -> String {
        format!("permit (principal, action, resource) when {{ {condition} }};")
    }

    fn refused(condition: &str) -> String {
        statements(&policy(condition)).unwrap_err().message
    }

    #[test]
    fn what_nests_is_refused_however_it_nests() {
        let many = 100_000;
        for (open, close) in [("(", ")"), ("[", "]"), ("{a:", "}"), ("f(", ")"), ("a[", "]")] {
            let deep = format!("{}x{}", open.repeat(many), close.repeat(many));
            assert!(refused(&deep).contains("nested deeper"), "{open}");
            assert!(refused(&open.repeat(many)).contains("nested deeper"), "{open} unclosed");
        }
        assert!(refused(&"if true then 1 else ".repeat(many)).contains("nested deeper"));
        assert!(refused(&"!".repeat(many)).contains("in a row"));
        assert!(refused(&"-".repeat(many)).contains("in a row"));
        assert!(refused(&"! // x\n".repeat(many)).contains("in a row"));
    }

    #[test]
    fn long_chains_are_refused() {
        let many = 100_000;
        for link in [
            "a && ", "a || ", "a + ", "a - ", "a * ", "a has b.", "a.", "a like ", "a in ", "a is ",
        ] {
            assert!(refused(&link.repeat(many)).contains("operators"), "{link}");
        }
        for link in ["[\"b\"]", "(b)", ".c(\"d\")"] {
            assert!(refused(&format!("a{}", link.repeat(many))).contains("operators"), "{link}");
        }
        assert!(
            statements(&format!(
                "permit (principal, action, resource) {};",
                "when { true }".repeat(many)
            ))
            .is_err()
        );
    }

    #[test]
    fn chains_inside_of_chains_are_counted_together() {
        let mut deep = "x".to_owned();
        for _ in 0..30 {
            deep = format!("{} ({deep})", "a + ".repeat(10));
        }
        assert!(refused(&deep).contains("operators"));
    }

    #[test]
    fn a_long_list_is_flat() {
        let list = "Killick::Action::\"read\", ".repeat(50_000);
        assert!(statements(&policy(&format!("action in [{list}]"))).is_ok());
    }

    #[test]
    fn strings_and_comments_hide_nothing_and_count_for_nothing() {
        let brackets = "(".repeat(1000);
        assert!(statements(&policy(&format!("a == \"{brackets}\\\"{brackets}\""))).is_ok());
        assert!(statements(&policy(&format!("a // {brackets}\r && true"))).is_ok());
        // A comment ends at a carriage return, so what follows is code.
        assert!(refused(&format!("a // x\r{brackets}")).contains("nested deeper"));
        assert!(refused("a == \"b").contains("does not end"));
        assert!(refused("a == \"\\\n\"").contains("does not end"));
        assert!(refused("a == \"\\").contains("does not end"));
    }

    #[test]
    fn statements_begin_at_their_first_token() {
        let text = "// one\n  @id(\"a;b\") permit (principal, action, resource); // ;\nforbid (x);";
        let starts = statements(text).unwrap();
        assert_eq!(starts, [9, text.find("forbid").unwrap()]);
    }

    #[test]
    fn a_bracket_too_many_is_refused() {
        assert!(refused("a }}").contains("never opened"));
    }
}
