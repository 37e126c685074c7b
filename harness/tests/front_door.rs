//! The front door's own promises.

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::backend::local::has_sets;
use crosscheck_harness::check::{Faults, On, check};
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::Operation;
use crosscheck_models::property::Property;

/// Asks the database for nothing.
struct Idler {
    broker: bool,
}

const IDLER: Idler = Idler { broker: false };

#[async_trait]
impl Design for Idler {
    fn id(&self) -> String {
        "idler".to_owned()
    }

    fn about(&self) -> String {
        "operations that do nothing".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: self.broker, cache: false }
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
    let long = check(IDLER).on(On::Local).faults(Faults::None).time(Duration::from_secs(600)).run();
    let ended = tokio::time::timeout(Duration::from_secs(3), long).await;
    if let Ok(checked) = ended {
        assert!(checked.was_skipped(), "{:?}", checked.objection());
    }
    assert!(!has_sets());
}

#[tokio::test]
async fn a_fault_that_there_is_not_is_refused_by_name() {
    let checked = check(IDLER).faults(Faults::Only(vec!["db-crash", "db-crush@client"])).run().await;
    let objection = checked.objection().unwrap_or_default();
    let expected = "idler could not be checked: no fault is called `db-crush` (close: db-crash, ";
    assert!(objection.starts_with(expected), "{objection}");
}

#[tokio::test]
async fn nothing_claimed_is_nothing_checked() {
    let objection = check(IDLER).claims([]).run().await.objection();
    let expected = "idler could not be checked: it claims nothing; name what it claims in `Design::claims`";
    assert_eq!(objection.as_deref(), Some(expected));
}

/// Set where the test below runs itself once more, without Kafka.
const ELSEWHERE: &str = "FRONT_DOOR_ELSEWHERE";

async fn check_everywhere() {
    for on in [On::Auto, On::Local, On::Model] {
        let checked =
            check(Idler { broker: true }).on(on).faults(Faults::None).time(Duration::from_millis(50));
        let checked = checked.run().await;
        let could_not = checked.objection().filter(|words| words.contains("could not be checked"));
        let failed = could_not.and_then(|words| words.split("; ").last().map(str::to_owned));
        let (backend, skipped) = (checked.backend(), checked.was_skipped());
        println!("{on:?}: on {backend:?}, skipped {skipped}, failed {failed:?}");
    }
}

#[tokio::test]
async fn without_servers_the_model_stands_in_unless_servers_are_required() {
    if std::env::var_os(ELSEWHERE).is_some() {
        return check_everywhere().await;
    }
    let mended = |how: &str| format!("on None, skipped false, failed Some({how:?})");
    let required = mended(
        "run scripts/servers.sh (Debian), or set CROSSCHECK_KAFKA_HOME to the folder that holds `libs/kafka_*.jar`",
    );
    let wrong = mended("set CROSSCHECK_KAFKA_HOME to the folder that holds `libs/kafka_*.jar`, or unset it");
    let on_model = "on Some(\"model\"), skipped false, failed None";
    let skipped = "on None, skipped true, failed None";
    let cases = [
        (("CROSSCHECK_REQUIRE", ""), on_model, skipped),
        (("CROSSCHECK_REQUIRE", "docker,local"), required.as_str(), required.as_str()),
        (("CROSSCHECK_KAFKA_HOME", "/nowhere"), wrong.as_str(), wrong.as_str()),
    ];
    let nothing = tempfile::tempdir().expect("there is room for temporary files");
    for ((variable, value), on_auto, on_local) in cases {
        let output = Command::new(std::env::current_exe().expect("this test has a program"))
            .args([
                "--exact",
                "without_servers_the_model_stands_in_unless_servers_are_required",
                "--nocapture",
            ])
            .env(ELSEWHERE, "yes")
            .env_remove("CROSSCHECK_KAFKA_HOME")
            .env_remove("CROSSCHECK_REQUIRE")
            .env("XDG_CACHE_HOME", nothing.path())
            .env("PATH", nothing.path())
            .env("DOCKER_HOST", "unix:///nowhere")
            .env(variable, value)
            .output()
            .expect("this program starts");
        let out = String::from_utf8_lossy(&output.stdout);
        for line in [format!("Auto: {on_auto}"), format!("Local: {on_local}"), format!("Model: {on_model}")] {
            assert!(out.contains(&line), "{variable}={value}: no {line:?} in\n{out}");
        }
        let says = String::from_utf8_lossy(&output.stderr)
            .contains("idler is checked on the model: kafka was not found");
        assert_eq!(says, on_auto == on_model, "{variable}={value}");
    }
}
