//! The words of a case file (PostgreSQL 15, `src/test/isolation/README`): names, numbers, signs and the texts of
//! steps between braces.

use super::case::Language;
use super::spec::SpecError;

/// A word of a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A plain name; some are keywords at their place.
    Word(String),
    /// A name in double quotes, which is never a keyword.
    Quoted(String),
    /// The text of a setup, step or teardown.
    Block(String),
    /// A whole number.
    Number(u32),
    /// `,`, `(`, `)` or `*`.
    Sign(char),
}

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// An error at this place.
    pub(super) fn error(self, message: impl Into<String>) -> SpecError {
        SpecError { line: self.line, column: self.column, message: message.into() }
    }
}

/// A word and where it begins.
pub(super) type Placed = (Token, Place);

/// All words of a file, and where it ends.
pub(super) fn tokens(text: &str, language: Language) -> Result<(Vec<Placed>, Place), SpecError> {
    let mut lexer = Lexer { rest: text, place: Place { line: 1, column: 1 }, language };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let place = lexer.place;
        match lexer.token()? {
            Some(token) => tokens.push((token, place)),
            None => return Ok((tokens, place)),
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
    language: Language,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0c')
}

fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii() || c == '_'
}

fn is_in_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit() || c == '$'
}

impl<'a> Lexer<'a> {
    /// Takes so many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        taken
    }

    fn take_while(&mut self, takes: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !takes(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(|c| is_space(c) || c == '\n');
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Option<Token>, SpecError> {
        let place = self.place;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '"' => Token::Quoted(self.quoted(place)?),
            '{' => Token::Block(self.block(place)?),
            ',' | '(' | ')' | '*' => {
                self.take(1);
                Token::Sign(first)
            }
            '$' if self.language != Language::Sql && self.rest.starts_with("$$") => {
                Token::Block(self.dollar_block(place)?)
            }
            c if c.is_ascii_digit() => {
                let digits = self.take_while(|c| c.is_ascii_digit());
                Token::Number(digits.parse().map_err(|_| place.error("the number is too large"))?)
            }
            c if begins_name(c) => Token::Word(self.take_while(is_in_name).to_owned()),
            c => return Err(place.error(format!("unexpected character \"{c}\""))),
        };
        Ok(Some(token))
    }

    /// A name in double quotes; two of them stand for one.
    fn quoted(&mut self, begin: Place) -> Result<String, SpecError> {
        self.take(1);
        let mut name = String::new();
        loop {
            name.push_str(self.take_while(|c| c != '"' && c != '\n'));
            match self.rest.as_bytes().first() {
                Some(b'"') => {
                    self.take(1);
                    if !self.rest.starts_with('"') {
                        return Ok(name);
                    }
                    name.push_str(self.take(1));
                }
                Some(_) => return Err(self.place.error("unexpected newline in quoted name")),
                None => return Err(begin.error("unterminated quoted name")),
            }
        }
    }

    /// Blanks are trimmed at both ends, newlines are not; there is no way to have a `}` within.
    fn block(&mut self, begin: Place) -> Result<String, SpecError> {
        self.take(1);
        self.take_while(is_space);
        let Some(end) = self.rest.find('}') else { return Err(begin.error("unterminated block")) };
        let text = self.take(end).trim_end_matches(is_space);
        self.take(1);
        Ok(text.to_owned())
    }

    /// `$$ .. $$`, for texts that hold braces: scripts of the cache.
    fn dollar_block(&mut self, begin: Place) -> Result<String, SpecError> {
        self.take(2);
        let Some(end) = self.rest.find("$$") else { return Err(begin.error("unterminated block")) };
        let text = self.take(end);
        self.take(2);
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Token>, String> {
        let tokens = tokens(text, Language::Sql).map_err(|error| error.to_string())?;
        Ok(tokens.0.into_iter().map(|(token, _)| token).collect())
    }

    #[test]
    fn words_are_told_apart() {
        let word = |text: &str| Token::Word(text.to_owned());
        let cases = [
            ("step s1 # a comment", vec![word("step"), word("s1")]),
            ("\"a \"\"b\"\"\"", vec![Token::Quoted("a \"b\"".to_owned())]),
            ("{  SELECT 1; \t}", vec![Token::Block("SELECT 1;".to_owned())]),
            ("{\n  x\n }", vec![Token::Block("\n  x\n".to_owned())]),
            ("{# no comment}", vec![Token::Block("# no comment".to_owned())]),
            ("a(*, b notices 2)", {
                let mut expected = vec![word("a"), Token::Sign('('), Token::Sign('*'), Token::Sign(',')];
                expected.extend([word("b"), word("notices"), Token::Number(2), Token::Sign(')')]);
                expected
            }),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_word_is_refused_with_its_place() {
        for (text, error) in [
            ("step a\n  ;", "2:3: unexpected character \";\""),
            ("step \"a\nb\"", "1:8: unexpected newline in quoted name"),
            ("\"a", "1:1: unterminated quoted name"),
            ("setup { x", "1:7: unterminated block"),
            ("99999999999", "1:1: the number is too large"),
            ("$$ x $$", "1:1: unexpected character \"$\""),
        ] {
            assert_eq!(read(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_script_may_hold_braces() {
        let (tokens, _) = tokens("$$ EVAL \"return {1}\" 0 $$", Language::Redis).expect("it is well formed");
        assert_eq!(tokens[0].0, Token::Block("EVAL \"return {1}\" 0".to_owned()));
    }
}
