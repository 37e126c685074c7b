//! PostgreSQL's own program for cases.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crosscheck_harness::system::postgres::PostgresAddress;

/// Where Debian's `postgresql-client-15` puts it.
pub(crate) const ISOLATIONTESTER: &str = "/usr/lib/postgresql/15/lib/pgxs/src/test/isolation/isolationtester";

/// What the program prints for a case on a server.
pub(crate) fn isolationtester(
    program: &Path,
    address: &PostgresAddress,
    case: &Path,
) -> std::io::Result<String> {
    let PostgresAddress { addr, user, database, application_name } = address;
    let to = format!(
        "host={} port={} user={user} dbname={database} application_name={application_name}",
        addr.ip(),
        addr.port()
    );
    let output = Command::new(program).arg(to).stdin(Stdio::from(File::open(case)?)).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
