//! The front door's own promises. Without servers a test is skipped, unless `CROSSCHECK_REQUIRE=local`.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::backend::local::has_sets;
use crosscheck_harness::check::{Faults, check};
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::Operation;
use crosscheck_models::property::Property;

/// Asks the database for nothing.
struct Idler;

#[async_trait]
impl Design for Idler {
    fn id(&self) -> String {
        "idler".to_owned()
    }

    fn about(&self) -> String {
        "operations that do nothing".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, ..Needs::default() }
    }

    fn claims(&self) -> Vec<Property> {
        vec![Property::AckDurability]
    }

    fn layout(&self) -> Layout {
        Layout::default()
    }

    async fn operate(&self, ctx: &mut Ctx, _operation: &Operation) -> Result<Done, Failure> {
        ctx.db.execute("SELECT", &[]).await?;
        Ok(Done::default())
    }
}

/// The only test of this binary that has servers: others would be taken for its own.
#[tokio::test]
async fn a_check_that_is_given_up_half_way_leaves_no_server() {
    let long = check(Idler).faults(Faults::None).time(Duration::from_secs(600)).run();
    let ended = tokio::time::timeout(Duration::from_secs(3), long).await;
    if let Ok(checked) = ended {
        assert!(checked.was_skipped(), "{:?}", checked.objection());
    }
    assert!(!has_sets());
}

#[tokio::test]
async fn a_fault_that_there_is_not_is_refused_by_name() {
    let checked = check(Idler).faults(Faults::Only(vec!["db-crash", "db-crush@client"])).run().await;
    let objection = checked.objection().unwrap_or_default();
    let expected = "idler could not be checked: no fault is called `db-crush`; there are app-crash, ";
    assert!(objection.starts_with(expected), "{objection}");
}

#[tokio::test]
async fn nothing_claimed_is_nothing_checked() {
    let objection = check(Idler).claims([]).run().await.objection();
    let expected = "idler could not be checked: it claims nothing; name what it claims in `Design::claims`";
    assert_eq!(objection.as_deref(), Some(expected));
}
