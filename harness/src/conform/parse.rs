//! Reads a case file: the grammar, then the links between permutations and steps.

use std::collections::BTreeMap;

use super::case::Language;
use super::lexer::{Place, Placed, Token, tokens};
use super::spec::{Blocker, Launch, SessionSpec, Spec, SpecError, Step};

/// Reads a case.
pub(super) fn parse(text: &str, language: Language) -> Result<Spec, SpecError> {
    let (tokens, end) = tokens(text, language)?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), end, places: Vec::new() };
    parser.spec()
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Placed>>;

struct Parser {
    tokens: Tokens,
    end: Place,
    places: Vec<(String, Place)>,
}

/// A launch whose names are not looked up yet.
struct Named {
    name: String,
    place: Place,
    blockers: Vec<(NamedBlocker, Place)>,
}

enum NamedBlocker {
    Once,
    Step(String),
    Notices(String, u32),
}

const KEYWORDS: [&str; 6] = ["notices", "permutation", "session", "setup", "step", "teardown"];

impl Parser {
    fn spec(&mut self) -> Result<Spec, SpecError> {
        let mut setups = Vec::new();
        while let Some(setup) = self.optional_block("setup")? {
            setups.push(setup);
        }
        let teardown = self.optional_block("teardown")?;
        let mut sessions = Vec::new();
        while self.keyword("session") {
            sessions.push(self.session()?);
        }
        if sessions.is_empty() {
            return Err(self.unexpected("a setup, the teardown or a session"));
        }
        let mut named = Vec::new();
        while self.keyword("permutation") {
            named.push(self.permutation()?);
        }
        if self.tokens.peek().is_some() {
            return Err(self.unexpected("a permutation"));
        }
        let steps = self.step_names(&sessions)?;
        let permutations =
            named.iter().map(|named| link(named, &steps)).collect::<Result<Vec<_>, SpecError>>()?;
        Ok(Spec { setups, teardown, sessions, permutations })
    }

    fn session(&mut self) -> Result<SessionSpec, SpecError> {
        let (name, _) = self.name("the name of a session")?;
        let setup = self.optional_block("setup")?;
        let mut steps = Vec::new();
        while self.keyword("step") {
            let (name, place) = self.name("the name of a step")?;
            let text = self.block()?;
            self.places.push((name.clone(), place));
            steps.push(Step { name, text });
        }
        if steps.is_empty() {
            return Err(self.unexpected("a step"));
        }
        let teardown = self.optional_block("teardown")?;
        Ok(SessionSpec { name, setup, steps, teardown })
    }

    fn permutation(&mut self) -> Result<Vec<Named>, SpecError> {
        let mut launches = Vec::new();
        loop {
            let (name, place) = match self.tokens.peek() {
                Some((Token::Quoted(_), _)) => self.name("a step")?,
                Some((Token::Word(word), _)) if !KEYWORDS.contains(&word.as_str()) => self.name("a step")?,
                _ if launches.is_empty() => return Err(self.unexpected("the name of a step")),
                _ => return Ok(launches),
            };
            let blockers = if self.sign('(') { self.blockers()? } else { Vec::new() };
            launches.push(Named { name, place, blockers });
        }
    }

    fn blockers(&mut self) -> Result<Vec<(NamedBlocker, Place)>, SpecError> {
        let mut blockers = Vec::new();
        loop {
            let place = self.place();
            let blocker = if self.sign('*') {
                NamedBlocker::Once
            } else {
                let (name, _) = self.name("`*` or the name of a step")?;
                if self.keyword("notices") {
                    NamedBlocker::Notices(name, self.number()?)
                } else {
                    NamedBlocker::Step(name)
                }
            };
            blockers.push((blocker, place));
            if self.sign(')') {
                return Ok(blockers);
            }
            if !self.sign(',') {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    /// Where each step is, by its name.
    fn step_names(&self, sessions: &[SessionSpec]) -> Result<BTreeMap<String, (usize, usize)>, SpecError> {
        let mut steps = BTreeMap::new();
        let mut places = self.places.iter();
        for (at, session) in sessions.iter().enumerate() {
            for step in 0..session.steps.len() {
                let (name, place) = places.next().expect("each step has noted its place");
                if steps.insert(name.clone(), (at, step)).is_some() {
                    return Err(place.error(format!("duplicate step name: {name}")));
                }
            }
        }
        Ok(steps)
    }

    fn optional_block(&mut self, keyword: &str) -> Result<Option<String>, SpecError> {
        if self.keyword(keyword) { self.block().map(Some) } else { Ok(None) }
    }

    fn block(&mut self) -> Result<String, SpecError> {
        match self.tokens.next_if(|(token, _)| matches!(token, Token::Block(_))) {
            Some((Token::Block(text), _)) => Ok(text),
            _ => Err(self.unexpected("a block `{ .. }`")),
        }
    }

    fn name(&mut self, what: &str) -> Result<(String, Place), SpecError> {
        let is_name = |token: &Token| match token {
            Token::Word(word) => !KEYWORDS.contains(&word.as_str()),
            Token::Quoted(_) => true,
            Token::Block(_) | Token::Number(_) | Token::Sign(_) => false,
        };
        match self.tokens.next_if(|(token, _)| is_name(token)) {
            Some((Token::Word(name) | Token::Quoted(name), place)) => Ok((name, place)),
            _ => Err(self.unexpected(what)),
        }
    }

    fn number(&mut self) -> Result<u32, SpecError> {
        match self.tokens.next_if(|(token, _)| matches!(token, Token::Number(_))) {
            Some((Token::Number(number), _)) => Ok(number),
            _ => Err(self.unexpected("a number")),
        }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.tokens.next_if(|(token, _)| matches!(token, Token::Word(word) if word == keyword)).is_some()
    }

    fn sign(&mut self, sign: char) -> bool {
        self.tokens.next_if(|(token, _)| *token == Token::Sign(sign)).is_some()
    }

    fn place(&mut self) -> Place {
        self.tokens.peek().map_or(self.end, |(_, place)| *place)
    }

    fn unexpected(&mut self, wanted: &str) -> SpecError {
        let found = match self.tokens.peek() {
            None => "the file ends".to_owned(),
            Some((Token::Word(name), _)) => format!("`{name}` is found"),
            Some((Token::Quoted(name), _)) => format!("\"{name}\" is found"),
            Some((Token::Block(_), _)) => "a block is found".to_owned(),
            Some((Token::Number(number), _)) => format!("`{number}` is found"),
            Some((Token::Sign(sign), _)) => format!("`{sign}` is found"),
        };
        let place = self.place();
        place.error(format!("{found} where {wanted} is expected"))
    }
}

/// Finds the steps that a permutation names.
fn link(named: &[Named], steps: &BTreeMap<String, (usize, usize)>) -> Result<Vec<Launch>, SpecError> {
    let mut launches = Vec::new();
    for launch in named {
        let Some((session, step)) = steps.get(&launch.name).copied() else {
            let message = format!("undefined step \"{}\" specified in permutation", launch.name);
            return Err(launch.place.error(message));
        };
        let blockers = launch
            .blockers
            .iter()
            .map(|(blocker, place)| {
                let other = |name: &String| other_step(name, *place, launch, session, named, steps);
                Ok(match blocker {
                    NamedBlocker::Once => Blocker::Once,
                    NamedBlocker::Step(name) => {
                        let (session, step) = other(name)?;
                        Blocker::Step { session, step }
                    }
                    NamedBlocker::Notices(name, count) => {
                        Blocker::Notices { session: other(name)?.0, count: *count }
                    }
                })
            })
            .collect::<Result<Vec<_>, SpecError>>()?;
        launches.push(Launch { session, step, blockers });
    }
    Ok(launches)
}

/// The step that a marker names: one of another session, in the same permutation.
fn other_step(
    name: &String,
    place: Place,
    launch: &Named,
    own_session: usize,
    permutation: &[Named],
    steps: &BTreeMap<String, (usize, usize)>,
) -> Result<(usize, usize), SpecError> {
    let found = steps.get(name).filter(|_| permutation.iter().any(|launch| launch.name == *name));
    let Some((session, step)) = found.copied() else {
        return Err(place.error(format!(
            "undefined blocking step \"{name}\" referenced in permutation step \"{}\"",
            launch.name
        )));
    };
    if session == own_session {
        let message = format!("permutation step \"{}\" cannot block on its own session", launch.name);
        return Err(place.error(message));
    }
    Ok((session, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "session a step a1 { x } step a2 { } session \"step\" setup { y } step b1 { z }";

    fn read(text: &str) -> Result<Spec, String> {
        parse(text, Language::Sql).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_whole() {
        let text = "# about\nsetup { one }\nsetup { two }\nteardown { three }\n".to_owned() + TWO;
        let spec = read(&(text + "permutation a1 b1 (*, a1, a2 notices 3) a2")).expect("it is well formed");
        assert_eq!(spec.setups, ["one", "two"]);
        assert_eq!(spec.teardown.as_deref(), Some("three"));
        assert_eq!(spec.sessions[1].name, "step");
        assert_eq!(spec.sessions[1].setup.as_deref(), Some("y"));
        let blockers = vec![
            Blocker::Once,
            Blocker::Step { session: 0, step: 0 },
            Blocker::Notices { session: 0, count: 3 },
        ];
        assert_eq!(spec.permutations[0][1], Launch { session: 1, step: 0, blockers });
        assert_eq!(spec.unused_steps(), Vec::<&str>::new());
        assert_eq!(read(&format!("{TWO} permutation a2")).map(|spec| spec.unused_steps().len()), Ok(2));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let with = |rest: &str| format!("{TWO}\n{rest}");
        for (text, error) in [
            (String::new(), "1:1: the file ends where a setup, the teardown or a session is expected"),
            ("session a".to_owned(), "1:10: the file ends where a step is expected"),
            ("session step".to_owned(), "1:9: `step` is found where the name of a session is expected"),
            ("session a step b c".to_owned(), "1:18: `c` is found where a block `{ .. }` is expected"),
            (with("setup { }"), "2:1: `setup` is found where a permutation is expected"),
            (with("permutation"), "2:12: the file ends where the name of a step is expected"),
            (with("permutation a1 c1"), "2:16: undefined step \"c1\" specified in permutation"),
            (
                with("permutation a1(b1)"),
                "2:16: undefined blocking step \"b1\" referenced in permutation step \"a1\"",
            ),
            (with("permutation a1(a2) a2"), "2:16: permutation step \"a1\" cannot block on its own session"),
            (with("permutation a1(*"), "2:17: the file ends where `,` or `)` is expected"),
            (with("permutation a1(b1 notices x)"), "2:27: `x` is found where a number is expected"),
            ("session a step b { } step b { }".to_owned(), "1:27: duplicate step name: b"),
        ] {
            assert_eq!(read(&text), Err(error.to_owned()), "{text}");
        }
    }
}
