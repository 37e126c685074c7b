//! Serializable transactions: which histories are refused, whom it hits, and which are not refused.

use super::World;

const FAILED: &str = "40001 could not serialize access due to read/write dependencies among transactions";

/// What became of the transactions of a script, and who waited.
async fn ends(script: &str) -> Vec<String> {
    let out = World::run(script).await;
    let told = out.lines().map(|line| line.trim().replace(FAILED, "failed"));
    let ends = |line: &String| {
        ["Committed", "committed", "failed", "waits", "prepared", "23505"]
            .iter()
            .any(|end| line.contains(end))
            && !line.starts_with('>')
    };
    told.filter(ends).collect()
}

#[tokio::test(start_paused = true)]
async fn of_two_that_write_what_the_other_has_read_the_second_to_commit_fails() {
    let skew = "a read 1
         b read 2
         a add 2 1
         b add 1 1
         a commit
         b commit";
    let script = format!("a begin ser\nb begin ser\n{skew}");
    let failed = "b: failed (Canceled on identification as a pivot, during commit attempt.)";
    assert_eq!(ends(&script).await, ["a: Committed", failed]);
    let script = format!("a begin rr\nb begin rr\n{skew}");
    assert_eq!(ends(&script).await, ["a: Committed", "b: Committed"]);
    let script = format!("a begin ser\nb begin rr\n{skew}");
    assert_eq!(ends(&script).await, ["a: Committed", "b: Committed"]);
}

#[tokio::test(start_paused = true)]
async fn a_pivot_fails_at_once_where_the_other_has_committed() {
    let told = ends(
        "a begin ser
         b begin ser
         a read 1
         b read 2
         a add 2 1
         a commit
         b add 1 1
         b rollback",
    )
    .await;
    let failed = "b: failed (Canceled on identification as a pivot, during write.)";
    assert_eq!(told, ["a: Committed", failed]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_only_reads_can_be_the_third_of_an_anomaly() {
    let told = ends(
        "b begin ser
         b read 1
         b read 2
         a begin ser
         a read 2
         a add 2 20
         a commit
         c begin ser
         c read 1
         c read 2
         c commit
         b add 1 -11
         b commit",
    )
    .await;
    let failed = "b: failed (Canceled on identification as a pivot, during write.)";
    assert_eq!(told, ["a: Committed", "c: Committed", failed]);
    let told = ends(
        "b begin ser
         b read 1
         b read 2
         a begin ser
         a read 2
         a add 2 20
         a commit
         b add 1 -11
         b commit",
    )
    .await;
    assert_eq!(told, ["a: Committed", "b: Committed"]);
}

#[tokio::test(start_paused = true)]
async fn the_reader_is_the_victim_where_the_pivot_has_committed() {
    let told = ends(
        "b begin ser
         b read 1
         b read 2
         a begin ser
         a add 2 20
         a commit
         c begin ser-ro
         c read 2
         b add 1 -11
         b commit
         c read 1",
    )
    .await;
    let failed = "c: failed (Canceled on conflict out to pivot 733, during read.)";
    assert_eq!(told, ["a: Committed", "b: Committed", failed]);
}

#[tokio::test(start_paused = true)]
async fn a_deferrable_transaction_waits_for_a_safe_snapshot() {
    let told = ends(
        "b begin ser
         b read 1
         b read 2
         a begin ser
         a add 2 20
         a commit
         c begin deferrable
         c read
         b add 1 -11
         b commit
         c commit",
    )
    .await;
    assert_eq!(told, ["a: Committed", "c waits", "b: Committed", "c: Committed"]);
    let out = World::run(
        "b begin ser
         b read 1
         c begin deferrable
         c read
         a add 2 5
         b add 1 1
         b commit",
    )
    .await;
    assert!(out.ends_with("b: Committed\n  c: 1=10 2=20\n"), "its snapshot is that of its start: {out}");
    let out = World::run("b begin ser\nb read 1\nb commit\nc begin deferrable\nc read").await;
    assert!(out.ends_with("c: 1=10 2=20\n"), "nobody is in the way: {out}");
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_snapshot_is_replaced_by_a_new_one() {
    let out = World::run(
        "b begin ser
         b read 1
         b read 2
         a begin ser
         a add 2 20
         a commit
         c begin deferrable
         c read
         b add 1 -11
         b commit",
    )
    .await;
    assert!(out.ends_with("b: Committed\n  c: 2=40 1=-1\n"), "{out}");
}

#[tokio::test(start_paused = true)]
async fn rows_found_by_an_index_are_read_alone() {
    let told = ends(
        "a begin ser
         b begin ser
         a read 1
         b read 2
         a add 1 1
         b add 2 1
         a commit
         b commit",
    )
    .await;
    assert_eq!(told, ["a: Committed", "b: Committed"]);
    let told = ends(
        "a begin ser
         b begin ser
         a read
         b read
         a add 1 1
         b add 2 1
         a commit
         b commit",
    )
    .await;
    let failed = "b: failed (Canceled on identification as a pivot, during commit attempt.)";
    assert_eq!(told, ["a: Committed", failed], "both have read all of the table");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_there_are_read_too() {
    let script = |a: &str, b: &str| {
        format!(
            "a begin ser
             b begin ser
             a read {a}
             b read {b}
             a insert {a} 0
             b insert {b} 0
             a commit
             b commit"
        )
    };
    let both = ends(&script("7", "8")).await;
    let failed = "b: failed (Canceled on identification as a pivot, during commit attempt.)";
    assert_eq!(both, ["a: Committed", failed], "keys of one leaf page are marked together");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_told_before_a_duplicate_key() {
    let told = ends(
        "a begin ser
         b begin ser
         a read 7
         b read 7
         a insert 7 0
         a commit
         b insert 7 0",
    )
    .await;
    assert_eq!(told, ["a: Committed", "b: failed (Canceled on identification as a pivot, during write.)"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_kept_after_the_commit() {
    let told = ends(
        "c begin ser
         c read 9
         a begin ser
         a read 1
         b begin ser
         b read 2
         a add 2 1
         a commit
         b add 1 1
         b rollback
         c commit
         d begin ser
         d read 1
         d add 2 1
         d commit",
    )
    .await;
    let failed = "b: failed (Canceled on identification as a pivot, during write.)";
    assert_eq!(told, ["a: Committed", failed, "c: Committed", "d: Committed"]);
}

#[tokio::test(start_paused = true)]
async fn a_prepared_transaction_is_no_victim_any_more() {
    let told = ends(
        "a begin ser
         b begin ser
         a read 1
         b read 2
         a add 2 1
         b add 1 1
         a prepare p
         b commit
         a commit p",
    )
    .await;
    let failed = "b: failed (Canceled on identification as a pivot, during commit attempt.)";
    assert_eq!(told, ["a: prepared", failed, "a: committed"]);
    let told = ends(
        "a begin ser
         a read 1
         a add 2 1
         a prepare p
         crash
         b begin ser
         b read 2
         d commit p",
    )
    .await;
    let failed = "b: failed (Canceled on conflict out to old pivot.)";
    assert_eq!(told, ["a: prepared", failed, "d: committed"]);
}

#[tokio::test(start_paused = true)]
async fn an_index_is_read_page_by_page_and_a_page_of_which_much_is_read_as_a_whole() {
    let rows: String = (3..600).map(|key| format!("z insert {key} 0\n")).collect();
    let few = format!(
        "{rows}a begin ser
         b begin ser
         a read 1000
         b read 5
         a insert 0 0
         b insert 1001 0
         a commit
         b commit"
    );
    let failed = "b: failed (Canceled on identification as a pivot, during commit attempt.)";
    assert_eq!(
        ends(&few).await,
        ["a: Committed", failed],
        "each inserts on the page that the other has read"
    );
    let apart = format!(
        "{rows}a begin ser
         b begin ser
         a read 1000
         b read 5
         a insert 1001 0
         b insert 0 0
         a commit
         b commit"
    );
    assert_eq!(ends(&apart).await, ["a: Committed", "b: Committed"], "the pages are not the same");
    let reads = |count: i64| -> String {
        let reads: String = (100..100 + count).map(|key| format!("a read {key}\n")).collect();
        format!(
            "{rows}a begin ser
             b begin ser
             {reads}b read 1
             a add 1 1
             b delete 50
             a commit
             b commit"
        )
    };
    assert_eq!(ends(&reads(1)).await, ["a: Committed", "b: Committed"]);
    assert_eq!(ends(&reads(2)).await, ["a: Committed", failed], "with a third row read, all of its page is");
}
