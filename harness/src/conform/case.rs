//! A case file with its name and its language.

use std::fs;
use std::path::{Path, PathBuf};

use super::parse::parse;
use super::spec::{Spec, SpecError};

/// What the bodies of a case's steps are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// PostgreSQL's SQL.
    Sql,
    /// Redis commands.
    Redis,
    /// Operations of a Kafka client.
    Kafka,
}

impl Language {
    /// The word that names it in the first line of a file, and the folder of its cases.
    pub fn id(self) -> &'static str {
        match self {
            Language::Sql => "postgres",
            Language::Redis => "redis",
            Language::Kafka => "kafka",
        }
    }

    /// The language that the first line names; SQL if it names none.
    fn of(text: &str) -> Result<Language, SpecError> {
        let first = text.lines().next().unwrap_or_default();
        let Some(named) = first.strip_prefix("# crosscheck:") else { return Ok(Language::Sql) };
        let languages = [Language::Sql, Language::Redis, Language::Kafka];
        languages.into_iter().find(|language| language.id() == named.trim()).ok_or_else(|| SpecError {
            line: 1,
            column: 1,
            message: format!("`{}` is no system that cases are for: postgres, redis, kafka", named.trim()),
        })
    }
}

/// How PostgreSQL prints dates while a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dates {
    /// As a server does of its own: `2008-12-22`.
    #[default]
    Iso,
    /// As under `pg_regress`, which runs PostgreSQL's own cases with `PGDATESTYLE="Postgres, MDY"`: `12-22-2008`.
    Regress,
}

/// A case that was read.
#[derive(Debug, Clone)]
pub struct Case {
    /// The name: that of the file, without its ending.
    pub name: String,
    /// Where it was read from.
    pub path: PathBuf,
    /// What its steps are written in.
    pub language: Language,
    /// What it is about: the first sentence of its leading comment.
    pub about: String,
    /// How dates are printed while it runs.
    pub dates: Dates,
    /// Its sessions and permutations.
    pub spec: Spec,
}

/// Why a case cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no case.
    #[error("{}:{source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: SpecError,
    },
    /// A folder without cases.
    #[error("{} holds no case: no file there ends in .spec", .0.display())]
    Empty(PathBuf),
}

impl Case {
    /// Reads a case from its file.
    ///
    /// # Errors
    /// The file is unreadable, or malformed at a line and column.
    pub fn read(path: &Path) -> Result<Case, CaseError> {
        let text = fs::read_to_string(path)
            .map_err(|source| CaseError::Unreadable { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Case::parse(&name, path, &text)
            .map_err(|source| CaseError::Malformed { path: path.to_owned(), source })
    }

    /// Reads a case from its text.
    ///
    /// # Errors
    /// The text is malformed at a line and column.
    pub fn parse(name: &str, path: &Path, text: &str) -> Result<Case, SpecError> {
        let language = Language::of(text)?;
        let spec = parse(text, language)?;
        let about = about(text);
        let dates = Dates::default();
        Ok(Case { name: name.to_owned(), path: path.to_owned(), language, about, dates, spec })
    }

    /// The case files that a path names: itself, or all in and below a folder, sorted.
    ///
    /// # Errors
    /// The folder is unreadable or holds no case.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>, CaseError> {
        if !path.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut found = Vec::new();
        collect(path, &mut found)
            .map_err(|source| CaseError::Unreadable { path: path.to_owned(), source })?;
        if found.is_empty() {
            return Err(CaseError::Empty(path.to_owned()));
        }
        found.sort();
        Ok(found)
    }

    /// The outputs that count as right: `expected/NAME.out` beside the case or beside its folder, and the
    /// variants `NAME_1.out` and so on. PostgreSQL's own hold what the program says on stderr, too: the names of
    /// steps that are not launched, which are left out here.
    pub fn expected(&self) -> Vec<String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let beside = [folder.join("expected"), folder.join("../expected")];
        let Some(found) = beside.iter().find(|dir| dir.join(format!("{}.out", self.name)).is_file()) else {
            return Vec::new();
        };
        let variants = (1..10).map(|variant| format!("{}_{variant}.out", self.name));
        let names = std::iter::once(format!("{}.out", self.name)).chain(variants);
        let texts = names.filter_map(|name| fs::read_to_string(found.join(name)).ok());
        texts.map(|text| without_stderr(&text).to_owned()).collect()
    }
}

fn without_stderr(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\n').filter(|_| rest.starts_with("unused step name: ")) {
        rest = after;
    }
    rest
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "spec") {
            found.push(path);
        }
    }
    Ok(())
}

/// The first sentence of the comment at the head of a file, the line that names the system left out.
fn about(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.starts_with("# crosscheck:"));
    let comment = lines.map_while(|line| line.strip_prefix('#')).map(str::trim);
    let paragraph: Vec<&str> =
        comment.skip_while(|line| line.is_empty()).take_while(|l| !l.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "session a step b { }";

    fn parse(text: &str) -> Result<Case, String> {
        Case::parse("x", Path::new("x.spec"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_line_names_the_system() {
        for (line, language) in [
            ("", Language::Sql),
            ("# crosscheck: redis", Language::Redis),
            ("# crosscheck: kafka", Language::Kafka),
        ] {
            assert_eq!(parse(&format!("{line}\n{BODY}")).map(|case| case.language), Ok(language));
        }
        let error = parse(&format!("# crosscheck: mysql\n{BODY}")).map(|case| case.language);
        assert_eq!(
            error,
            Err("1:1: `mysql` is no system that cases are for: postgres, redis, kafka".to_owned())
        );
    }

    #[test]
    fn what_a_case_is_about_stands_at_its_head() {
        let text =
            format!("# crosscheck: redis\n#\n# Two clients meet. One of\n# them waits.\n#\n# More.\n{BODY}");
        assert_eq!(parse(&text).map(|case| case.about), Ok("Two clients meet.".to_owned()));
        assert_eq!(parse(BODY).map(|case| case.about), Ok(String::new()));
    }
}
