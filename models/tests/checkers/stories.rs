//! The stories, as people read them.

use crosscheck_models::check::{Options, check};
use crosscheck_models::property::Property;

use crate::history_text;

fn story(property: Property, text: &str) -> String {
    let history = history_text::history(text);
    let found = check(&history, property, &Options::default());
    found.witness.map_or_else(|| format!("{}", found.verdict), |witness| witness.to_string())
}

/// A relay that goes by outbox ids passes one whose transaction has not committed yet.
const CURSOR: &str = "
@1000000 0 invokes x2 k1 =12
@1100000 client-0 calls db BEGIN for x2
@1200000 client-0 calls db UPDATE~stock~SET~value~=~$2~[k1,~12] for x2 saw 1~row:~(2)
@1300000 client-0 calls db INSERT~INTO~ledger~[k1,~2,~x2,~12] for x2 saw 1~rows~changed
@1400000 client-0 calls db INSERT~INTO~outbox~[k1,~2,~x2,~12] for x2 saw 1~rows~changed
@1500000 client-0 calls app before_commit for x2
@1600000 1 invokes y1 k2 =21
@1700000 client-1 calls db BEGIN for y1
@1800000 client-1 calls db INSERT~INTO~outbox~[k2,~1,~y1,~21] for y1 saw 1~rows~changed
@1900000 client-1 calls db COMMIT for y1
@1950000 1 ok y1 k2 v1
@2000000 relay calls db SELECT~last_id~FROM~relay_cursor saw 1~row:~(1)
@2100000 relay calls db SELECT~id,~key~FROM~outbox~WHERE~id~>~$1~[1] saw 1~row:~(3,~k2,~1,~y1,~21)
@2200000 relay calls broker produce~events~k2~{\"op_id\":\"y1\"} saw partition~0~offset~1
@2300000 relay calls db UPDATE~relay_cursor~SET~last_id~=~$1~[3] saw 1~rows~changed
@2400000 consumer gets y1 k2 v1 o1
@2500000 client-0 calls db COMMIT for x2
@2600000 0 ok x2 k1 v2
@2700000 relay calls db SELECT~last_id~FROM~relay_cursor saw 1~row:~(3)
@2800000 relay calls db SELECT~id,~key~FROM~outbox~WHERE~id~>~$1~[3] saw no~rows
ledger x2 k1 v2 c3; y1 k2 v1 c2
outbox 2 x2 k1 v2; 3 y1 k2 v1
log y1 k2 v1 o1
";

#[test]
fn an_outbox_id_is_passed_by() {
    insta::assert_snapshot!(story(Property::NoLoss, CURSOR), @r#"
    k1 v2 of x2 is in the ledger, and was never delivered
           1.400 ms  client-0   writes k1 v2 (x2) as outbox id 2, not committed yet
           1.900 ms  client-1   writes k2 v1 (y1) as outbox id 3, then commits
           2.300 ms  relay      polls, and sees outbox id 3 but not 2, then moves past it: UPDATE relay_cursor SET last_id = $1 [3]
           2.500 ms  client-0   commits
           2.800 ms  relay      polls again, and sees nothing new: SELECT id, key FROM outbox WHERE id > $1 ..
         at the end  consumers  k1 v2 of x2 is in the ledger, and was never delivered
    "#);
}

#[test]
fn the_same_without_steps() {
    let without: Vec<&str> = CURSOR.lines().filter(|line| !line.contains(" calls ")).collect();
    insta::assert_snapshot!(story(Property::NoLoss, &without.join("\n")), @r#"
    k1 v2 of x2 is in the ledger, and was never delivered
           2.600 ms  client 0   begins to write k1 v2 (x2), then hears that k1 v2 (x2) is done
         at the end  consumers  k1 v2 of x2 is in the ledger, and was never delivered
    "#);
}

#[test]
fn a_crash_between_commit_and_publish() {
    let text = "
@1000000 0 invokes x1 k1 =11
@1100000 client-0 calls db BEGIN for x1
@1200000 client-0 calls db UPDATE~stock~SET~value~=~$2~[k1,~11] for x1 saw 1~row:~(1)
@1300000 client-0 calls db COMMIT for x1
@1400000 client-0 calls app after_db_before_publish for x1
@1500000 client-0 calls app end~of~this~life for x1 gives crash
@1500000 0 info x1 k1
ledger x1 k1 v1
log
";
    insta::assert_snapshot!(story(Property::NoLoss, text), @r#"
    k1 v1 of x1 is in the ledger, and was never delivered
           1.500 ms  client-0   writes k1 v1 (x1), then commits, then crashes at after_db_before_publish
         at the end  consumers  k1 v1 of x1 is in the ledger, and was never delivered
    "#);
}

#[test]
fn a_relay_marks_before_it_publishes() {
    let text = "
@1000000 0 invokes x1 k1 =11
@1100000 client-0 calls db UPDATE~stock~[k1,~11] for x1 saw 1~row:~(1)
@1200000 client-0 calls db INSERT~INTO~outbox~[k1,~1,~x1,~11] for x1 saw 1~rows~changed
@1300000 client-0 calls db COMMIT for x1
@1400000 0 ok x1 k1 v1
@1500000 relay calls db SELECT~id~FROM~outbox~WHERE~NOT~published saw 1~row:~(1,~k1,~1,~x1,~11)
@1600000 relay calls db UPDATE~outbox~SET~published~=~true~WHERE~id~=~$1~[1] saw 1~rows~changed
@1700000 relay calls app after_mark_before_publish
@1800000 relay calls app end~of~this~life gives crash
@1900000 relay calls db SELECT~id~FROM~outbox~WHERE~NOT~published saw no~rows
ledger x1 k1 v1
outbox 1 x1 k1 v1 published
log
";
    insta::assert_snapshot!(story(Property::NoLoss, text), @r#"
    k1 v1 of x1 is in the ledger, and was never delivered
           1.300 ms  client-0   writes k1 v1 (x1) as outbox id 1, then commits
           1.600 ms  relay      polls, and sees k1 v1 (x1), then UPDATE outbox SET published = true WHERE id = $1 [1]
           1.900 ms  relay      crashes at after_mark_before_publish, then polls again, and sees nothing new: SELECT id FROM outbox WHERE NOT publishe ..
         at the end  consumers  k1 v1 of x1 is in the ledger, and was never delivered
    "#);
}

/// A reader fills the cache with what it read before a writer committed and deleted the entry.
const STALE_FILL: &str = "
@1000000 0 begins k1
@1100000 client-0 calls cache GET~run7-k1 for x1 saw nothing
@1200000 client-0 calls db SELECT~ver,~value~FROM~stock~WHERE~key~=~$1~[k1] for x1 saw 1~row:~(1,~11)
@1300000 client-0 calls app after_read_db_before_set_cache for x1
@1400000 1 invokes y1 k1 =21
@1450000 client-1 calls db BEGIN for y1
@1500000 client-1 calls db UPDATE~stock~[k1,~21] for y1 saw 1~row:~(2)
@1600000 client-1 calls db COMMIT for y1
@1700000 client-1 calls cache DEL~run7-k1 for y1 saw 0
@1800000 1 ok y1 k1 v2
@1900000 client-0 calls cache SET~run7-k1~{\"ver\":1,\"value\":11} for x1 saw OK
@2000000 0 saw k1 v1
@2100000 1 begins k1
@2200000 client-1 calls cache GET~run7-k1 for y2 saw {\"ver\":1,\"value\":11}
@2300000 1 saw k1 v1 cache
ledger x0 k1 v1; y1 k1 v2
sot k1 v2 =21
copies k1 v1 =11
";

#[test]
fn a_stale_fill() {
    insta::assert_snapshot!(story(Property::ReadYourWrites, STALE_FILL), @r#"
    client 1 wrote k1 v2, and then read v1
           1.200 ms  client-0  reads k1 from the database: SELECT ver, value FROM stock WHERE key = $1 [k1] -> 1 row: (1, 11)
           1.700 ms  client-1  writes k1 v2 (y1), then commits, then DEL run7-k1 -> 0
           1.900 ms  client-0  puts it into the cache: SET run7-k1 {"ver":1,"value":11}
           2.300 ms  client-1  reads k1 and gets v1 from the cache
    "#);
    insta::assert_snapshot!(story(Property::Convergence, STALE_FILL), @r#"
    cache holds k1 v1, but the source of truth holds v2
           1.200 ms  client-0         reads k1 from the database: SELECT ver, value FROM stock WHERE key = $1 [k1] -> 1 row: (1, 11)
           1.700 ms  client-1         writes k1 v2 (y1), then commits, then DEL run7-k1 -> 0
           1.900 ms  client-0         puts it into the cache: SET run7-k1 {"ver":1,"value":11}
         at the end  source of truth  k1 is at v2 = 21
         at the end  cache            k1 is at v1 = 11
    "#);
}

#[test]
fn a_lost_update() {
    let text = "
@1000000 0 invokes x1 k1 +1
@1100000 client-0 calls db BEGIN for x1
@1200000 client-0 calls db SELECT~ver,~value~FROM~stock~[k1] for x1 saw 1~row:~(4,~7)
@1300000 1 invokes y1 k1 +1
@1400000 client-1 calls db BEGIN for y1
@1500000 client-1 calls db SELECT~ver,~value~FROM~stock~[k1] for y1 saw 1~row:~(4,~7)
@1600000 client-1 calls db UPDATE~stock~[k1,~8] for y1 saw 1~row:~(5)
@1700000 client-1 calls db COMMIT for y1
@1800000 1 ok y1 k1 v5
@1900000 client-0 calls db UPDATE~stock~[k1,~8] for x1 saw 1~row:~(6)
@2000000 client-0 calls db COMMIT for x1
@2100000 0 ok x1 k1 v6
ledger x1 k1 v6 b4 +1 =8; y1 k1 v5 b4 +1 =8
";
    insta::assert_snapshot!(story(Property::NoLostUpdate, text), @r#"
    x1 computed k1 v6 from v4 and overwrote v5 of y1, which it had not seen
           1.200 ms  client-0  SELECT ver, value FROM stock [k1] -> 1 row: (4, 7)
           1.700 ms  client-1  SELECT ver, value FROM stock [k1] -> 1 row: (4, 7), then writes k1 v5 (y1), then commits
           2.000 ms  client-0  writes k1 v6 (x1), then commits
         at the end  ledger    k1 v6 is of x1, computed from v4
         at the end  ledger    k1 v5 is of y1, computed from v4
    "#);
}

#[test]
fn two_publishers_overtake() {
    let text = "
@1000000 0 invokes x2 k1 =12
@1100000 client-0 calls db UPDATE~stock~[k1,~12] for x2 saw 1~row:~(2)
@1200000 client-0 calls db COMMIT for x2
@1300000 client-0 calls app after_db_before_publish for x2
@1400000 1 invokes y1 k1 =21
@1500000 client-1 calls db UPDATE~stock~[k1,~21] for y1 saw 1~row:~(3)
@1600000 client-1 calls db COMMIT for y1
@1700000 client-1 calls broker produce~events~k1~{\"op_id\":\"y1\",\"ver\":3} for y1 saw partition~0~offset~5
@1800000 1 ok y1 k1 v3
@1900000 client-0 calls broker produce~events~k1~{\"op_id\":\"x2\",\"ver\":2} for x2 saw partition~0~offset~6
@2000000 0 ok x2 k1 v2
@2100000 consumer gets y1 k1 v3 o5
@2150000 consumer applies projection y1 k1 v3
@2200000 consumer gets x2 k1 v2 o6
@2250000 consumer applies projection x2 k1 v2
ledger x2 k1 v2 c1; y1 k1 v3 c2
sot k1 v3
copies projection k1 v2
";
    insta::assert_snapshot!(story(Property::PerKeyOrder, text), @r#"
    k1 v2 was delivered after v3
           1.200 ms  client-0  writes k1 v2 (x2), then commits
           1.700 ms  client-1  writes k1 v3 (y1), then commits, then publishes k1 v3 (y1)
           1.900 ms  client-0  publishes k1 v2 (x2)
           2.100 ms  consumer  receives k1 v3 of y1 (offset 5)
           2.200 ms  consumer  receives k1 v2 of x2 (offset 6)
    "#);
    insta::assert_snapshot!(story(Property::Convergence, text), @r#"
    projection holds k1 v2, but the source of truth holds v3
           1.200 ms  client-0         writes k1 v2 (x2), then commits
           1.700 ms  client-1         writes k1 v3 (y1), then commits, then publishes k1 v3 (y1)
           1.900 ms  client-0         publishes k1 v2 (x2)
           2.250 ms  consumer         applies k1 v3 of y1 to projection, then applies k1 v2 of x2 to projection
         at the end  source of truth  k1 is at v3
         at the end  projection       k1 is at v2
    "#);
}
