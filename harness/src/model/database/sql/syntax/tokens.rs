//! A place in the tokens of a statement.

use sqlparser::tokenizer::Token;

use super::super::super::error::SqlError;

/// What is still to be read.
pub(super) struct Tokens<'a> {
    rest: &'a [Token],
}

impl<'a> Tokens<'a> {
    pub(super) fn new(rest: &'a [Token]) -> Self {
        Tokens { rest }
    }

    pub(super) fn rest(&self) -> &'a [Token] {
        self.rest
    }

    /// Whether the next word is this one; names in quotes are no words.
    pub(super) fn word_is(&self, word: &str) -> bool {
        word_at(self.rest, 0, word)
    }

    /// Whether these words are next.
    pub(super) fn words_are(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(at, word)| word_at(self.rest, at, word))
    }

    /// Takes these words if they are next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let next = self.words_are(words);
        if next {
            self.rest = &self.rest[words.len()..];
        }
        next
    }

    /// Takes a word that has to be there.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take(&[word]) { Ok(()) } else { Err(self.unread()) }
    }

    /// Takes a sign if it is next.
    pub(super) fn symbol(&mut self, symbol: &Token) -> bool {
        let next = self.rest.first() == Some(symbol);
        if next {
            self.rest = &self.rest[1..];
        }
        next
    }

    /// Takes whatever is next.
    pub(super) fn skip(&mut self) -> Result<&'a Token, SqlError> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| self.unread())?;
        self.rest = rest;
        Ok(first)
    }

    /// Takes a name: in lower case, unless it stands in quotes.
    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        let name = match self.rest.first() {
            Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) => word.value.to_lowercase(),
            _ => return Err(self.unread()),
        };
        self.rest = &self.rest[1..];
        Ok(name)
    }

    /// Takes the name of a relation; a schema in front of it has to be `public`.
    pub(super) fn relation(&mut self) -> Result<String, SqlError> {
        let mut name = self.name()?;
        while self.symbol(&Token::Period) {
            if name != "public" {
                return Err(super::super::names::no_schema(&name));
            }
            name = self.name()?;
        }
        Ok(name)
    }

    /// Takes a text in quotes.
    pub(super) fn literal(&mut self) -> Result<String, SqlError> {
        let text = match self.rest.first() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::DollarQuotedString(text)) => text.value.clone(),
            _ => return Err(self.unread()),
        };
        self.rest = &self.rest[1..];
        Ok(text)
    }

    /// Names between commas.
    pub(super) fn relations(&mut self) -> Result<Vec<String>, SqlError> {
        let mut names = vec![self.relation()?];
        while self.symbol(&Token::Comma) {
            names.push(self.relation()?);
        }
        Ok(names)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Holds that nothing is left.
    pub(super) fn end(&self) -> Result<(), SqlError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.unread()) }
    }

    /// What comes next is not read here. PostgreSQL may well know it, so it is no syntax error.
    pub(super) fn unread(&self) -> SqlError {
        match self.rest.first() {
            Some(token) => SqlError::unknown(format!("how to read this statement at \"{token}\""), ""),
            None => SqlError::unknown("how to read this statement at its end", ""),
        }
    }
}

/// Whether the token at that place is the word, in any case and without quotes.
pub(super) fn word_at(tokens: &[Token], at: usize, word: &str) -> bool {
    matches!(tokens.get(at), Some(Token::Word(found)) if found.quote_style.is_none()
        && found.value.eq_ignore_ascii_case(word))
}
