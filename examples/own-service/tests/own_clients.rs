//! A service that knows nothing of ports: it is given addresses, and brings its own PostgreSQL client.
//!
//! The model has no addresses. Without PostgreSQL the tests are skipped, and say so; with `CROSSCHECK_REQUIRE=local` they then fail.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::check::{Check, Faults, On, check};
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_models::history::{Scalar, WriteItem};
use crosscheck_models::property::Property;
use tokio_postgres::NoTls;
use tokio_postgres::types::ToSql;

/// As the service would write it: a URL, and what is asked of it.
async fn deposit(url: &str, account: &str, request: &str, amount: i64) -> Result<i64, tokio_postgres::Error> {
    const DEPOSIT: &str = "WITH new AS (INSERT INTO account VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE \
                           SET ver = account.ver + 1, balance = account.balance + $2 RETURNING ver, balance) \
                           INSERT INTO ledger SELECT $1, ver, $3, balance, $2 FROM new RETURNING ver";
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let params: [&(dyn ToSql + Sync); 3] = [&account, &amount, &request];
    // Driven here and not in a task of its own, so that a crash of the client drops the connection too.
    tokio::select! {
        Err(lost) = connection => Err(lost),
        answer = client.query_one(DEPOSIT, &params) => answer?.try_get("ver"),
    }
}

/// The service, and whether it panics at some point.
struct Accounts {
    panics: bool,
}

#[async_trait]
impl Design for Accounts {
    fn id(&self) -> String {
        "accounts".to_owned()
    }

    fn about(&self) -> String {
        "balances, each with a version".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, ..Needs::default() }
    }

    fn claims(&self) -> Vec<Property> {
        vec![Property::AckDurability, Property::NoLostUpdate]
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash@client", "db-reset@client", "db-crash"]
    }

    fn workload(&self) -> Workload {
        Workload {
            clients: 4,
            keys: 2,
            rate: Some(80),
            reads_percent: 0,
            writes: OperationKind::Add,
            aborts_percent: 0,
            // Without some work between its calls no two deposits would ever meet.
            pauses: Pauses { percent: 100, max_ms: 20 },
        }
    }

    fn layout(&self) -> Layout {
        Layout {
            ddl: vec![
                "CREATE TABLE account (id text PRIMARY KEY, ver bigint, balance bigint)".to_owned(),
                "CREATE TABLE ledger (key text, ver bigint, op_id text, value bigint, delta bigint)"
                    .to_owned(),
            ],
            source_of_truth: Some("SELECT id AS key, ver, balance AS value FROM account".to_owned()),
            ledger: Some("SELECT *, ver - 1 AS base_ver FROM ledger".to_owned()),
            ..Layout::default()
        }
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        let database = ctx.addresses().database.as_ref().expect("the design needs a database");
        let url = database.url();
        ctx.point("before_deposit").await?;
        assert!(!self.panics || operation.op_id != "c1-3", "somebody's bug");
        let (account, request) = (operation.key.as_str(), operation.op_id.as_str());
        let done = deposit(&url, account, request, operation.value).await;
        let ver = done.map_err(|error| Failure::Unknown(error.to_string()))?;
        Ok(Done::write(WriteItem {
            key: operation.key.as_str().into(),
            value: Scalar::Null,
            delta: Some(operation.value),
            ver: u64::try_from(ver).ok(),
            ..WriteItem::default()
        }))
    }
}

fn on_servers(accounts: Accounts) -> Check {
    check(accounts).on(On::Local).time(Duration::from_secs(1))
}

#[tokio::test]
async fn it_is_checked_as_it_is() {
    on_servers(Accounts { panics: false }).seed_from_env().run().await.assert_holds();
}

#[tokio::test]
async fn its_panic_is_told_and_nothing_is_called_valid() {
    let checked = on_servers(Accounts { panics: true }).faults(Faults::None).run().await;
    let objection = checked.objection().unwrap_or_default();
    let told = objection.contains("whether the claims hold: client-1 panicked: somebody's bug\n");
    assert!(checked.was_skipped() || told, "{objection}");
}
