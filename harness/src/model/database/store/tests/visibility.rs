//! Who sees what.

use super::World;

#[tokio::test(start_paused = true)]
async fn read_committed_sees_what_is_committed_when_the_statement_begins() {
    let out = World::run(
        "a begin rc
         a add 1 1
         b begin rc
         b read 1
         a commit
         b read 1",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > a begin rc
      a: begun
    > a add 1 1
      a: 1 rows
    > b begin rc
      b: begun
    > b read 1
      b: 1=10
    > a commit
      a: Committed
    > b read 1
      b: 1=11
    ");
}

#[tokio::test(start_paused = true)]
async fn repeatable_read_sees_what_was_committed_at_its_first_statement() {
    let out = World::run(
        "b begin rr
         b read 2
         a insert 3 30
         a add 1 1
         b read
         b add 1 5
         b rollback
         a read",
    )
    .await;
    insta::assert_snapshot!(out, @r"
    > b begin rr
      b: begun
    > b read 2
      b: 2=20
    > a insert 3 30
      a: inserted
    > a add 1 1
      a: 1 rows
    > b read
      b: 1=10 2=20
    > b add 1 5
      b: 40001 could not serialize access due to concurrent update
    > b rollback
      b: rolled back
    > a read
      a: 2=20 3=30 1=11
    ");
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_takes_back_what_came_after_it_and_its_locks() {
    let out = World::run(
        "a begin rc
         a add 1 1
         a savepoint s
         a add 2 1
         a insert 3 30
         a read
         b add 2 5
         a rollback s
         a read
         a insert 2 0
         a rollback s
         a commit
         b read",
    )
    .await;
    insta::assert_snapshot!(out, @r#"
    > a begin rc
      a: begun
    > a add 1 1
      a: 1 rows
    > a savepoint s
      a: saved
    > a add 2 1
      a: 1 rows
    > a insert 3 30
      a: inserted
    > a read
      a: 1=11 2=21 3=30
    > b add 2 5
      b waits
    > a rollback s
      a: rolled back
      b: 1 rows
    > a read
      a: 1=11 2=25
    > a insert 2 0
      a: 23505 duplicate key value violates unique constraint "t_pkey"
    > a rollback s
      a: rolled back
    > a commit
      a: Committed
    > b read
      b: 1=11 2=25
    "#);
}
