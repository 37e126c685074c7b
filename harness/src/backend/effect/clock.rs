//! `db-clock`: the database's clock is off by an offset (libfaketime). It is stopped in order and started again under
//! the other clock, and again at the end. (Redis does not start under libfaketime: its allocator asks for the time
//! before the library is ready. A Java machine takes its time from elsewhere.)

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::{Effect, Lasting, Site, site};
use crate::backend::{HarnessError, Hits};
use crate::fault::Given;
use crate::port::System;
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct ClockOff;

/// Where Debian, Fedora and Alpine put the library.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// How much a clock that is right may differ from ours: what the question takes on a busy machine.
const RIGHT_MS: i64 = 2000;

struct Off {
    seen_ms: i64,
}

fn library() -> Result<PathBuf, HarnessError> {
    let found = PLACES.iter().map(Path::new).find(|path| path.exists());
    found.map(Path::to_owned).ok_or_else(|| HarnessError::Missing {
        what: "this machine cannot give a server another clock: libfaketime is not installed".to_owned(),
        advice: "install it (Debian: apt-get install libfaketime), or leave the fault out".to_owned(),
    })
}

#[async_trait]
impl Effect for ClockOff {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Db, on)?;
        let offset_ms = Given(&on.with).offset_ms("offset", -60_000);
        if offset_ms.abs() <= 2 * RIGHT_MS {
            let least_s = 2 * RIGHT_MS / 1000;
            return Err(HarnessError::failed(format!("an offset of {least_s} s or less cannot be verified")));
        }
        site.servers.can_start_with_environment(System::Db)?;
        library().map(drop)
    }

    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let offset_ms = Given(&on.with).offset_ms("offset", -60_000);
        let offset = format!("{:+.3}s", offset_ms as f64 / 1000.0);
        let environment: Vec<(OsString, OsString)> = vec![
            ("LD_PRELOAD".into(), library()?.into()),
            ("FAKETIME".into(), offset.into()),
            // Timeouts and sleeps go on as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ];
        site.servers.stop(System::Db).await?;
        site.servers.start_with(System::Db, environment).await?;
        let seen_ms = difference_ms(site).await?;
        if (seen_ms - offset_ms).abs() > RIGHT_MS {
            return Err(HarnessError::failed(format!(
                "its clock is off by {seen_ms} ms and not by {offset_ms} ms"
            )));
        }
        Ok(Box::new(Off { seen_ms }))
    }
}

/// By how much the server's clock is ahead of ours.
async fn difference_ms(site: &Site) -> Result<i64, HarnessError> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms";
    let theirs_ms = site::only(site.admin_session().await?.query(sql, &[]).await?)?.int("ms")?;
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(theirs_ms - i64::try_from(ours.as_millis()).unwrap_or(i64::MAX))
}

#[async_trait]
impl Lasting for Off {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        site.servers.stop(System::Db).await?;
        site.servers.start(System::Db).await?;
        let left_ms = difference_ms(site).await?;
        if left_ms.abs() > RIGHT_MS {
            return Err(HarnessError::failed(format!("its clock stays off by {left_ms} ms")));
        }
        let detail = format!("the clock of the database was off by {} ms", self.seen_ms);
        Ok(Hits { count: 1, detail })
    }
}
