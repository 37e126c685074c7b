//! Small histories, with the guarantees that each of them breaks.

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::isolation::Inference;
use crosscheck_models::session::{
    Assumed, Circle, Guarantee, Link, Point, Reason, Sessions, Version, sessions, verify_circle,
};
use crosscheck_models::verdict::Verdict;

/// Judges, and checks what is said for a violation.
pub(crate) fn judged(history: &OpHistory, guarantee: Guarantee, assumed: Assumed) -> Sessions {
    let found = sessions(history, guarantee, assumed, &mut || true).expect("registers");
    if let Some(circle) = &found.circle {
        verify_circle(history, guarantee, assumed, circle)
            .unwrap_or_else(|error| panic!("{guarantee:?}: {error}\n{circle:#?}"));
    }
    found
}

const SHARED: Assumed =
    Assumed { is_shared: true, has_session_order: true, has_realtime: false, has_updates: false };

/// What a history in AWDIT's text breaks.
fn broken(text: &str, assumed: Assumed) -> Vec<&'static str> {
    let text = text.replace(' ', "\n");
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let broken = Guarantee::ALL
        .into_iter()
        .filter(|guarantee| judged(&history, *guarantee, assumed).verdict == Verdict::Violated);
    broken.map(Guarantee::name).collect()
}

#[test]
fn textbook_histories() {
    let (ryw, mr, mw, wfr, pram) =
        ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads", "pram");
    let cases = [
        ("one after the other", "w(1,1,0,0) r(1,1,0,1) w(1,2,0,2) r(1,2,0,3)", vec![]),
        ("own write not seen", "w(1,1,0,0) r(1,0,0,1)", vec![ryw, pram]),
        ("own older write", "w(1,1,0,0) w(1,2,0,1) r(1,1,0,2)", vec![ryw, pram]),
        ("another's write instead", "w(1,1,0,0) w(1,2,1,1) r(1,2,0,2)", vec![]),
        ("own write after another's", "w(1,1,0,0) w(1,2,1,1) r(1,2,0,2) r(1,1,0,3)", vec![pram]),
        ("a read goes back to nothing", "w(1,1,0,0) r(1,1,1,1) r(1,0,1,2)", vec![mr, pram]),
        ("reads go to and fro", "w(1,1,0,0) w(1,2,1,1) r(1,1,2,2) r(1,2,2,3) r(1,1,2,4)", vec![mr, pram]),
        // Whether reads went back or writes changed places, nobody knows: one of them did.
        ("a session's writes in reverse", "w(1,1,0,0) w(1,2,0,1) r(1,2,1,2) r(1,1,1,3)", vec![pram]),
        (
            "two sessions see the writes of two others in opposite orders",
            "w(1,1,0,0) w(1,2,1,1) r(1,1,2,2) r(1,2,2,3) r(1,2,3,4) r(1,1,3,5)",
            vec![],
        ),
        ("a later write without the earlier", "w(1,1,0,0) w(2,1,0,1) r(2,1,1,2) r(1,0,1,2)", vec![mw, pram]),
        // Between two operations the session may have gone to another replica.
        ("the same in two operations", "w(1,1,0,0) w(2,1,0,1) r(2,1,1,2) r(1,0,1,3)", vec![pram]),
        ("read before it was there", "w(1,1,0,0) w(2,1,0,1) r(1,0,1,2) r(2,1,1,2)", vec![]),
        (
            "a write without what it follows",
            "w(1,1,0,0) r(1,1,1,1) w(2,1,1,2) r(2,1,2,3) r(1,0,2,3)",
            vec![wfr],
        ),
        (
            "the same over three sessions",
            "w(1,1,0,0) r(1,1,1,1) w(2,1,1,2) r(2,1,2,3) w(3,1,2,4) r(3,1,3,5) r(1,0,3,5)",
            vec![wfr],
        ),
        ("causality in single operations", "w(1,1,0,0) r(1,1,1,1) w(2,1,1,2) r(2,1,2,3) r(1,0,2,4)", vec![]),
        ("read from nowhere", "r(1,7,0,0) w(1,1,0,1) r(1,1,0,2)", vec![]),
    ];
    for (name, text, expected) in cases {
        assert_eq!(broken(text, Assumed::default()), expected, "{name}");
    }
}

#[test]
fn with_one_order_for_all_more_is_known() {
    let opposite = "w(1,1,0,0) w(1,2,1,1) r(1,1,2,2) r(1,2,2,3) r(1,2,3,4) r(1,1,3,5)";
    assert_eq!(broken(opposite, SHARED), ["monotonic-reads", "pram"]);
    let reverse = "w(1,1,0,0) w(1,2,0,1) r(1,2,1,2) r(1,1,1,3)";
    assert_eq!(broken(reverse, SHARED), ["monotonic-reads", "pram"]);
}

#[test]
fn what_is_undecided_need_not_be_seen() {
    let text = "{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :info :f :write :value 1}
{:process 0 :type :invoke :f :read :value nil}
{:process 0 :type :ok :f :read :value nil}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let found = judged(&history, Guarantee::Pram, Assumed::default());
    assert_eq!(found.verdict, Verdict::Valid, "{found:#?}");
    let seen = format!(
        "{text}\n{{:process 1 :type :ok :f :read :value 1}}{{:process 1 :type :ok :f :read :value nil}}"
    );
    let history = read(&mut seen.as_bytes(), Format::Edn).expect("a history");
    let found = judged(&history, Guarantee::MonotonicReads, Assumed::default());
    assert_eq!(found.verdict, Verdict::Violated, "{found:#?}");
}

#[test]
fn one_of_two_is_broken_and_the_answer_says_so() {
    let text = "w(1,1,0,0)\nw(1,2,0,1)\nr(1,2,1,2)\nr(1,1,1,3)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let found = judged(&history, Guarantee::MonotonicReads, Assumed::default());
    assert_eq!(found.verdict, Verdict::Valid);
    assert_eq!(
        found.either.expect("a circle").text,
        [
            "versions of 1 go in a circle for process 1",
            "version 1 is before version 2: process 0 wrote one in line 1 and then the other in line 2",
            "version 2 is before version 1: process 0 wrote 2 (line 2); process 1 read 2 from 1 (line 3); and process 1 had to see that, and read 1 (line 4)",
        ]
    );
}

#[test]
fn a_forged_circle_is_found_out() {
    let text = "w(1,1,0,0)\nr(1,0,0,1)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let assumed = Assumed::default();
    let circle = judged(&history, Guarantee::ReadYourWrites, assumed).circle.expect("a circle");
    for guarantee in [Guarantee::MonotonicReads, Guarantee::MonotonicWrites, Guarantee::WritesFollowReads] {
        verify_circle(&history, guarantee, assumed, &circle).expect_err("it shows something else");
    }
    let mut forged = circle.clone();
    forged.session = Some("7".to_owned());
    verify_circle(&history, Guarantee::ReadYourWrites, assumed, &forged).expect_err("another session");
    let mut forged = circle;
    forged.links.pop();
    verify_circle(&history, Guarantee::ReadYourWrites, assumed, &forged).expect_err("half a circle");
}

#[test]
fn without_budget_it_is_unknown() {
    let text: String =
        (1..9000).map(|at| format!("w(1,{at},{},{at})\nr(1,{at},{},{at})\n", at % 3, at % 3)).collect();
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    for guarantee in Guarantee::ALL {
        let found = sessions(&history, guarantee, Assumed::default(), &mut || false).expect("registers");
        assert_eq!(found.verdict, Verdict::Unknown, "{guarantee:?}");
    }
}

#[test]
fn whoever_wrote_what_the_other_had_read_before() {
    let text = "r(1,2,0,0) w(1,1,0,1) r(1,1,1,2) w(1,2,1,3)";
    assert_eq!(broken(text, Assumed::default()), ["writes-follow-reads"]);
}

const IN_TIME: Assumed =
    Assumed { is_shared: true, has_session_order: true, has_realtime: true, has_updates: false };

fn in_time(lines: &[&str]) -> Verdict {
    let line = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{{:process {} :type :{} :f :{} :value {}}}\n", words[0], words[1], words[2], words[3])
    };
    let text: String = lines.iter().map(line).collect();
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    judged(&history, Guarantee::MonotonicReads, IN_TIME).verdict
}

#[test]
fn in_the_order_of_real_time() {
    // Two writes at once, and then a third: it is behind both.
    let begin = ["0 invoke write 1", "1 invoke write 2"];
    let ends = [["0 ok write 1", "1 ok write 2"], ["1 ok write 2", "0 ok write 1"]];
    for end in ends {
        for older in ["3 ok read 1", "3 ok read 2"] {
            let third = ["2 invoke write 3", "2 ok write 3", "3 ok read 3", older];
            assert_eq!(in_time(&[&begin[..], &end, &third].concat()), Verdict::Violated, "{end:?} {older}");
        }
        let both = ["3 ok read 1", "3 ok read 2"];
        assert_eq!(in_time(&[&begin[..], &end, &both].concat()), Verdict::Valid);
    }
    // What failed, and was read all the same, may take effect at any time.
    let failed = [
        "0 invoke write 1",
        "0 fail write 1",
        "1 invoke write 2",
        "1 ok write 2",
        "2 ok read 2",
        "2 ok read 1",
    ];
    assert_eq!(in_time(&failed), Verdict::Valid);
}

/// Real time counts where it is assumed and the history has it.
#[test]
fn what_is_assumed_rests_on_the_inference_and_the_history() {
    let timed = read(&mut "{:process 0 :type :ok :f :write :value 1}".as_bytes(), Format::Edn).expect("EDN");
    let untimed = read(&mut "w(1,1,0,0)".as_bytes(), Format::Plume).expect("lines");
    let linearizable = Inference { linearizable_keys: true, ..Inference::default() };
    let sequential = Inference { sequential_keys: true, ..Inference::default() };
    let updates = Inference { wfr_keys: true, ..Inference::default() };
    let shared = Assumed { is_shared: true, ..Assumed::default() };
    let in_order = Assumed { has_session_order: true, ..shared };
    for history in [&timed, &untimed] {
        assert_eq!(Assumed::of(history, Inference::default()), Assumed::default());
        assert_eq!(Assumed::of(history, sequential), in_order);
        assert_eq!(Assumed::of(history, updates), Assumed { has_updates: true, ..shared });
    }
    assert_eq!(Assumed::of(&timed, linearizable), Assumed { has_realtime: true, ..in_order });
    assert_eq!(Assumed::of(&untimed, linearizable), in_order);
}

/// A completion that stands alone may have begun where it ended: it is not behind itself.
#[test]
fn what_ends_where_it_begins_is_not_before_itself() {
    assert_eq!(in_time(&["0 ok write 1", "0 ok read 1", "1 ok write 2", "1 ok read 2"]), Verdict::Valid);
    assert_eq!(in_time(&["0 ok write 1", "1 ok read 1", "0 ok write 2", "1 ok read 2"]), Verdict::Valid);
}

#[test]
fn a_link_needs_all_of_its_reason() {
    let text = "w(1,1,0,0)\nw(1,2,0,1)\nr(1,2,1,2)\nr(1,1,1,3)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let circle = judged(&history, Guarantee::Pram, SHARED).circle.expect("a circle");
    for (reason, assumed) in
        [(Reason::Initial, SHARED), (Reason::Realtime, SHARED), (Reason::Realtime, IN_TIME)]
    {
        let mut forged = circle.clone();
        forged.links.iter_mut().for_each(|link| link.reason = reason.clone());
        verify_circle(&history, Guarantee::Pram, assumed, &forged).expect_err("neither is so");
    }
    // What was read before a write is before it, where that is given.
    let text = "r(1,2,0,0)\nw(1,1,0,1)\nr(1,1,1,2)\nw(1,2,1,3)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let assumed = Assumed::default();
    let circle = judged(&history, Guarantee::WritesFollowReads, assumed).circle.expect("a circle");
    assert!(circle.links.iter().any(|link| matches!(link.reason, Reason::Update { .. })));
    verify_circle(&history, Guarantee::Pram, assumed, &circle).expect_err("it is not given");
}

/// Whoever reads something older than what it has just written breaks other guarantees than this one.
#[test]
fn a_way_is_one_that_the_guarantee_speaks_of() {
    let text = "w(1,2,1,0)\nr(1,2,0,1)\nw(1,1,0,2)\nr(1,2,0,2)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let point = |call, mop| Point { call, mop };
    let version = |value: &str, call| Version { value: Some(value.to_owned()), write: Some(point(call, 0)) };
    let links = vec![
        Link {
            from: version("1", 2),
            to: version("2", 0),
            reason: Reason::Seen { path: vec![point(2, 0), point(2, 1)] },
        },
        Link { from: version("2", 0), to: version("1", 2), reason: Reason::Update { read: point(1, 0) } },
    ];
    let (key, session) = ("1".to_owned(), Some("0".to_owned()));
    let circle = Circle { key, session, links, calls: vec![0, 1, 2], text: Vec::new() };
    verify_circle(&history, Guarantee::WritesFollowReads, Assumed::default(), &circle)
        .expect_err("it says nothing of own writes");
    let updates = Assumed { has_updates: true, ..Assumed::default() };
    verify_circle(&history, Guarantee::ReadYourWrites, updates, &circle).expect_err("not in one transaction");
}

#[test]
fn what_failed_may_be_tried_again() {
    let first = ["0 ok write 1", "1 fail write 1", "1 ok read 1"];
    assert_eq!(in_time(&first), Verdict::Valid);
    let again = ["0 fail write 1", "0 ok write 1", "1 ok read 1"];
    assert_eq!(in_time(&again), Verdict::Valid);
    let twice = "{:process 0 :type :ok :f :write :value 1} {:process 1 :type :info :f :write :value 1}";
    let history = read(&mut twice.as_bytes(), Format::Edn).expect("a history");
    sessions(&history, Guarantee::Pram, IN_TIME, &mut || true).expect_err("nobody can say which is read");
}

/// An invocation need not say what a read will give.
#[test]
fn reads_without_a_value_say_nothing() {
    let text = "{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:r :x]]}
        {:process 1 :type :ok :f :txn :value [[:r :x 1]]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let found = judged(&history, Guarantee::Pram, SHARED);
    assert_eq!((found.verdict, found.exercised["reads"]), (Verdict::Valid, 1));
}

#[test]
fn nothing_may_be_written_too() {
    let lines = ["0 ok write 1", "0 ok write nil", "0 ok read 1", "0 ok read nil", "0 ok read 1"];
    assert_eq!(in_time(&lines), Verdict::Valid);
}

#[test]
fn forged_links_are_found_out() {
    let text = "w(1,1,0,0)\nw(1,2,0,1)\nr(1,2,1,2)\nr(1,1,1,3)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let assumed = Assumed::default();
    let circle = judged(&history, Guarantee::Pram, assumed).circle.expect("a circle");
    let session =
        circle.links.iter().position(|link| link.reason == Reason::Session).expect("a session's order");
    let mut forged = circle.clone();
    // Both links by the order of the session: one of them goes back.
    forged.links[1 - session].reason = Reason::Session;
    verify_circle(&history, Guarantee::Pram, assumed, &forged).expect_err("the second was written later");
    let mut forged = circle;
    let Reason::Seen { path } = &mut forged.links[1 - session].reason else { panic!("a read had to see it") };
    path.swap(1, 2);
    verify_circle(&history, Guarantee::Pram, assumed, &forged).expect_err("the read came first");
    // A path backwards along a session shows nothing.
    let text = "r(1,2,0,0)\nw(1,1,0,1)\nw(1,2,1,2)\nr(1,2,2,3)\nr(1,0,2,4)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let mut circle = judged(&history, Guarantee::MonotonicReads, assumed).circle.expect("a circle");
    for link in &mut circle.links {
        if let Reason::Seen { path } = &mut link.reason {
            let calls = [2, 4, 3];
            path.iter_mut().zip(calls).for_each(|(point, call)| point.call = call);
        }
    }
    verify_circle(&history, Guarantee::MonotonicReads, assumed, &circle)
        .expect_err("the reads changed places");
}
