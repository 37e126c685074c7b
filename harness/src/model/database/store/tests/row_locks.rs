//! Who waits for whom over a row.

use super::World;

#[tokio::test(start_paused = true)]
async fn an_update_waits_and_goes_on_from_the_newest_version() {
    let out = World::run(
        "a begin rc
         a add 1 1
         b add 1 5
         a commit
         b read 1",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > a add 1 1
      a: 1 rows
    > b add 1 5
      b waits
    > a commit
      a: Committed
      b: 1 rows
    > b read 1
      b: 1=16
    ");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_row_is_served_in_turn() {
    let out = World::run(
        "a begin rc
         a add 1 1
         b add 1 10
         c add 1 100
         a commit
         c read 1",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > a add 1 1
      a: 1 rows
    > b add 1 10
      b waits
    > c add 1 100
      c waits
    > a commit
      a: Committed
      b: 1 rows
      c: 1 rows
    > c read 1
      c: 1=121
    ");
}

#[tokio::test(start_paused = true)]
async fn sharers_go_together_and_writers_wait_for_all_of_them() {
    let out = World::run(
        "a begin rc
         b begin rc
         a lock share 1
         b lock share 1
         c add 1 1
         a commit
         b commit",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > b begin rc
      b: begun
    > a lock share 1
      a: locked 1=10
    > b lock share 1
      b: locked 1=10
    > c add 1 1
      c waits
    > a commit
      a: Committed
    > b commit
      b: Committed
      c: 1 rows
    ");
}

#[tokio::test(start_paused = true)]
async fn a_key_share_lock_lets_updates_pass_that_keep_the_key() {
    let out = World::run(
        "a begin rc
         a lock key-share 1
         b add 1 1
         c delete 1
         a commit
         c read",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > a lock key-share 1
      a: locked 1=10
    > b add 1 1
      b: 1 rows
    > c delete 1
      c waits
    > a commit
      a: Committed
      c: 1 rows
    > c read
      c: 2=20
    ");
}

#[tokio::test(start_paused = true)]
async fn nowait_fails_and_skip_locked_skips() {
    let out = World::run(
        "a begin rc
         a lock update 1
         b lock update 1 nowait
         b lock update skip
         b lock key-share 2 nowait",
    )
    .await;
    insta::assert_snapshot!(out, @r#"
    > a begin rc
      a: begun
    > a lock update 1
      a: locked 1=10
    > b lock update 1 nowait
      b: 55P03 could not obtain lock on row in relation "t"
    > b lock update skip
      b: locked 2=20
    > b lock key-share 2 nowait
      b: locked 2=20
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_for_the_one_that_has_the_key() {
    let out = World::run(
        "a begin rc
         a insert 3 1
         b insert 3 2
         a rollback
         c begin rc
         c insert 4 1
         d insert 4 2
         e ensure 4 3
         f upsert 4 5
         c commit
         a read",
    )
    .await;
    insta::assert_snapshot!(out, @r#"
    > a begin rc
      a: begun
    > a insert 3 1
      a: inserted
    > b insert 3 2
      b waits
    > a rollback
      a: rolled back
      b: inserted
    > c begin rc
      c: begun
    > c insert 4 1
      c: inserted
    > d insert 4 2
      d waits
    > e ensure 4 3
      e waits
    > f upsert 4 5
      f waits
    > c commit
      c: Committed
      d: 23505 duplicate key value violates unique constraint "t_pkey"
      e: there already
      f: updated 1
    > a read
      a: 1=10 2=20 3=2 4=6
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_has_one_victim() {
    let out = World::run(
        "a begin rc
         b begin rc
         a add 1 1
         b add 2 1
         a add 2 1
         b add 1 1
         time
         b rollback
         a commit
         b read",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > b begin rc
      b: begun
    > a add 1 1
      a: 1 rows
    > b add 2 1
      b: 1 rows
    > a add 2 1
      a waits
    > b add 1 1
      b waits
    > time
      a: 40P01 deadlock detected
      b: 1 rows
    > b rollback
      b: rolled back
    > a commit
      a: RolledBack
    > b read
      b: 1=10 2=20
    ");
}

#[tokio::test(start_paused = true)]
async fn above_read_committed_who_comes_second_fails() {
    let out = World::run(
        "a begin rr
         b begin rr
         a read
         b read
         a add 1 1
         b add 1 1
         a commit
         b rollback
         b begin rr
         b read
         a delete 2
         b lock update 2
         b rollback
         b begin rr
         b read
         a delete 1
         b add 1 1",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rr
      a: begun
    > b begin rr
      b: begun
    > a read
      a: 1=10 2=20
    > b read
      b: 1=10 2=20
    > a add 1 1
      a: 1 rows
    > b add 1 1
      b waits
    > a commit
      a: Committed
      b: 40001 could not serialize access due to concurrent update
    > b rollback
      b: rolled back
    > b begin rr
      b: begun
    > b read
      b: 2=20 1=11
    > a delete 2
      a: 1 rows
    > b lock update 2
      b: 40001 could not serialize access due to concurrent update
    > b rollback
      b: rolled back
    > b begin rr
      b: begun
    > b read
      b: 1=11
    > a delete 1
      a: 1 rows
    > b add 1 1
      b: 40001 could not serialize access due to concurrent delete
    ");
}
