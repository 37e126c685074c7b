//! What goes to stdout: text for people, or one JSON document.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

use crosscheck_reports::json;
use crosscheck_reports::text::Style;
use serde::Serialize;

use super::Stop;

/// How a command that decides gives its answer.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no text on stdout and no progress: the exit code answers
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints text for people, if they are the ones who read.
    pub(crate) fn text(self, text: impl FnOnce(Style) -> String) -> Result<(), Stop> {
        if self.json || self.quiet {
            return Ok(());
        }
        print(&text(style()))
    }

    /// Prints the document, if it was asked for. It is what ends the command: one document, and no other.
    pub(crate) fn document<Document: Serialize>(
        self,
        document: impl FnOnce() -> Document,
    ) -> Result<(), Stop> {
        if !self.json {
            return Ok(());
        }
        print(&json::render(&document()))
    }
}

/// Prints on stdout. A reader that has gone away wants no more, which is no error.
pub(crate) fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Stop::could_not_run(format!("cannot write to stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Colour, if stdout is a terminal and nobody objects (<https://no-color.org>).
pub(crate) fn style() -> Style {
    let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !objects { Style::Ansi } else { Style::Plain }
}

/// Where a file goes; any thread may write it.
pub(super) type Out<'a> = dyn Write + Send + 'a;

/// Writes a whole text to a file, or to stdout where none is named.
pub(super) fn to_file_or_stdout(
    file: Option<&Path>,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()>,
) -> Result<(), Stop> {
    let buffered = |to: &mut Out<'_>| {
        let mut out = BufWriter::with_capacity(1 << 20, to);
        write(&mut out)?;
        out.flush()
    };
    let Some(path) = file else {
        return match buffered(&mut io::stdout()) {
            // A reader that has gone away wants no more.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Stop::could_not_run(format!("cannot write to stdout: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        };
    };
    let written = File::create(path).and_then(|mut file| buffered(&mut file));
    written.map_err(|error| Stop::could_not_run(format!("cannot write {}: {error}", path.display())))
}
