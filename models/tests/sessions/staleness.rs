//! Staleness: by hand, and against its definition.

use std::fmt::Write as _;

use crosscheck_models::foreign::{Format, OpHistory, Outcome, read};
use crosscheck_models::staleness::{
    KnownVersion, StaleRead, Staleness, StalenessOptions, staleness, verify_stale_read,
};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

fn judged(history: &OpHistory, options: StalenessOptions) -> Staleness {
    let found = staleness(history, options, &mut || true).expect("registers");
    for (_, stale) in [&found.by_versions, &found.by_time, &found.stale].into_iter().flatten() {
        verify_stale_read(history, options, stale).unwrap_or_else(|error| panic!("{error}\n{stale:#?}"));
    }
    found
}

fn parsed(lines: &str) -> OpHistory {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.splitn(5, ' ').collect();
        let [time, process, kind, f, value] = parts[..] else { panic!("{line}") };
        let ns = format!("{time}000000");
        writeln!(text, "{{:time {ns} :process {process} :type :{kind} :f :{f} :value {value}}}")
            .expect("text");
    }
    read(&mut text.as_bytes(), Format::Edn).expect("a history")
}

const FOUR: &str = "
    1 0 invoke write 1
    2 0 ok write 1
    3 0 invoke write 2
    5 0 ok write 2
    6 0 invoke write 3
    9 0 ok write 3
    20 1 invoke read nil
    21 1 ok read 1
    30 1 invoke read nil
    31 1 ok read 3";

fn bounds(versions_max: Option<u64>, ms_max: Option<u64>) -> StalenessOptions {
    StalenessOptions { versions_max, ms_max, has_versions: false }
}

#[test]
fn versions_and_time_behind_by_hand() {
    let history = parsed(FOUR);
    let found = judged(&history, bounds(None, None));
    assert_eq!(found.verdict, Verdict::Valid);
    let numbers = ["versions behind, p50", "versions behind, p99", "versions behind, max"];
    assert_eq!(numbers.map(|name| found.exercised[name]), [0, 2, 2]);
    // The second version was known at 5 ms, and the read began at 20.
    assert_eq!(found.exercised["microseconds behind, max"], 15_000);
    assert_eq!(judged(&history, bounds(Some(2), Some(15))).verdict, Verdict::Valid);
    let found = judged(&history, bounds(Some(1), None));
    assert_eq!(found.verdict, Verdict::Violated);
    assert_eq!(
        found.by_versions.expect("a stale read").1.text,
        [
            "line 8 read 1 from 1, which was behind by 2 version(s), for 15000 us",
            "2 was known by line 4 before the read began",
            "3 was known by line 6 before the read began",
        ]
    );
    assert_eq!(judged(&history, bounds(None, Some(14))).verdict, Verdict::Violated);
}

#[test]
fn what_is_under_way_is_not_counted() {
    let of = |lines: &str| judged(&parsed(lines), bounds(Some(0), None)).verdict;
    assert_eq!(
        of("1 0 invoke write 1\n2 1 invoke read nil\n3 0 ok write 1\n4 1 ok read nil"),
        Verdict::Valid
    );
    let begun =
        "1 0 invoke write 1\n2 2 invoke read nil\n3 2 ok read 1\n4 1 invoke read nil\n5 1 ok read nil\n";
    // Somebody has read it: it is there, whether its write has ended or not.
    assert_eq!(of(begun), Verdict::Violated);
    assert_eq!(of(&format!("{begun}9 0 info write 1")), Verdict::Violated);
    // Neither of two writes at the same time is newer.
    let both = "1 0 invoke write 1\n2 1 invoke write 2\n3 0 ok write 1\n4 1 ok write 2\n5 2 invoke read nil\n6 2 ok read 1";
    assert_eq!(of(both), Verdict::Valid);
    assert_eq!(
        of("1 0 invoke write 1\n2 0 fail write 1\n3 0 invoke read nil\n4 0 ok read nil"),
        Verdict::Valid
    );
}

#[test]
fn a_forged_witness_is_found_out() {
    let history = parsed(&format!("{FOUR}\n40 0 invoke write 4\n41 0 ok write 4"));
    let options = bounds(Some(0), None);
    let (_, stale) = judged(&history, options).by_versions.expect("a stale read");
    let mut forged = stale.clone();
    // The last write began long after the read.
    forged.newer[0] = KnownVersion { value: Some("4".to_owned()), write: Some(5), known_by: Some(5) };
    forged.behind_ns = Some(0);
    verify_stale_read(&history, options, &forged).expect_err("it was not known then");
    let mut forged = stale.clone();
    forged.behind_ns = Some(1);
    verify_stale_read(&history, options, &forged).expect_err("it was behind for longer");
    let mut forged = stale;
    forged.newer.push(forged.newer[0].clone());
    verify_stale_read(&history, options, &forged).expect_err("one version is one");
}

#[test]
fn values_that_are_versions() {
    let rows = "process,type,key,value,time\n1,invoke,a,,1000000\n1,ok,a,5,2000000\n2,invoke,a,,7000000\n2,ok,a,3,8000000\n2,invoke,b,,9000000\n2,ok,b,1,9500000\n";
    let history = read(&mut rows.as_bytes(), Format::Csv).expect("a history");
    let options = StalenessOptions { versions_max: Some(0), ms_max: None, has_versions: true };
    let found = judged(&history, options);
    assert_eq!(found.verdict, Verdict::Violated);
    let (count, stale) = found.by_versions.expect("a stale read");
    assert_eq!((count, stale.versions_behind, stale.behind_ns), (1, 1, Some(5_000_000)));
    let text = "{:process 0 :type :ok :f :read :value :x}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    staleness(&history, options, &mut || true).expect_err("a name is no version");
}

#[test]
fn a_version_may_be_written_twice_and_a_value_may_not() {
    let lines = ["write 3", "write 3", "read 2", "read 2"].map(|did| {
        let (f, value) = did.split_once(' ').expect("f and value");
        format!("{{:process 0 :type :invoke :f :{f}}} {{:process 0 :type :ok :f :{f} :value {value}}}")
    });
    let history = read(&mut lines.concat().as_bytes(), Format::Edn).expect("a history");
    let options = StalenessOptions { versions_max: Some(0), ms_max: None, has_versions: true };
    let stale = judged(&history, options).by_versions.expect("2 is older than 3");
    assert_eq!((stale.0, stale.1.versions_behind), (2, 1));
    // What was read is no newer than itself.
    let mut forged = StaleRead { read: 3, ..stale.1 };
    verify_stale_read(&history, options, &forged).expect("the other read is as stale");
    forged.newer = vec![KnownVersion { value: Some("2".to_owned()), write: None, known_by: Some(2) }];
    verify_stale_read(&history, options, &forged).expect_err("2 is as old as 2");
    staleness(&history, bounds(Some(0), None), &mut || true).expect_err("3 is written twice");
}

#[test]
fn without_reads_times_or_budget_it_is_unknown() {
    let of = |text: &str, options| {
        let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
        judged(&history, options).verdict
    };
    let write = "{:process 0 :type :ok :f :write :value 1}";
    assert_eq!(of(write, bounds(None, None)), Verdict::Unknown);
    let read_too = format!("{write}{{:process 0 :type :ok :f :read :value nil}}");
    assert_eq!(of(&read_too, bounds(None, Some(5))), Verdict::Unknown);
    let found = staleness(&parsed(FOUR), bounds(Some(9), None), &mut || false).expect("registers");
    assert_eq!(found.verdict, Verdict::Unknown);
}

/// Versions behind and microseconds behind of each read, by the words of the definition.
fn plain(history: &OpHistory, has_versions: bool) -> Vec<(u64, u64)> {
    let calls: Vec<_> = history
        .calls()
        .iter()
        .map(|call| {
            let mut parts = history.value_of(call).items().expect("a pair").map(|part| part.to_string());
            let (key, value) = (parts.next().expect("a key"), parts.next().expect("a value"));
            (call, history.f(call.telling_op()).to_owned(), key, value)
        })
        .collect();
    let known = |key: &str, value: &str| {
        let shown =
            calls.iter().filter(|(call, _, k, v)| call.outcome == Outcome::Ok && k == key && v == value);
        shown.map(|(call, ..)| call.end).min()
    };
    let time = |place: u32| history.ops()[place as usize].time.expect("a time");
    let mut found = Vec::new();
    for (read, _, key, value) in
        calls.iter().filter(|(call, f, ..)| f == "read" && call.outcome == Outcome::Ok)
    {
        let mut newer: Vec<(String, u32)> = Vec::new();
        for (write, f, other, version) in &calls {
            let is_candidate = other == key
                && version != "nil"
                && (f == "write" || has_versions && write.outcome == Outcome::Ok);
            let is_newer = match (value.as_str(), has_versions) {
                _ if !is_candidate => false,
                ("nil", _) => true,
                (_, true) => {
                    version.parse::<i64>().expect("a number") > value.parse::<i64>().expect("a number")
                }
                (_, false) => known(key, value).is_some_and(|known| known < write.begin),
            };
            if let Some(since) = known(key, version).filter(|since| is_newer && *since < read.begin) {
                newer.push((version.clone(), since));
            }
        }
        newer.sort();
        newer.dedup();
        let first = newer.iter().map(|(_, since)| *since).min();
        let us = first.map_or(0, |first| (time(read.begin) - time(first)) as u64 / 1000);
        found.push((newer.len() as u64, us));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_its_definition(
        ops in proptest::collection::vec((0..2_u8, 0..2_u8, 0..6_u8, 0..12_u32, 0..6_u32, 0..8_u8), 1..12),
        has_versions in any::<bool>(),
        versions_max in 0..3_u64,
    ) {
        let mut moments = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            moments.push((op.3 * 2, 0, at, "invoke"));
            let kind = match op.5 { 0 => "info", 1 => "fail", _ => "ok" };
            moments.push((op.3 * 2 + op.4 * 2 + 1, 1, at, kind));
        }
        moments.sort_unstable();
        let mut text = String::new();
        for (time, _, at, kind) in moments {
            let (f, key, choice, ..) = ops[at];
            let is_write = f == 0;
            // A written value is the place of its operation; a read is of a write of the same key, or of nothing.
            let written: Vec<usize> = (0..ops.len()).filter(|other| ops[*other].0 == 0 && ops[*other].1 == key).collect();
            let value = match written.get(usize::from(choice)) {
                _ if is_write => at.to_string(),
                Some(value) if kind == "ok" => value.to_string(),
                _ => "nil".to_owned(),
            };
            let f = if is_write { "write" } else { "read" };
            writeln!(text, "{{:time {time}000 :process {at} :type :{kind} :f :{f} :value [{key} {value}]}}").expect("text");
        }
        let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
        let options = StalenessOptions { versions_max: Some(versions_max), ms_max: None, has_versions };
        let found = judged(&history, options);
        let expected = plain(&history, has_versions);
        let worst = expected.iter().map(|(versions, _)| *versions).max();
        let longest = expected.iter().map(|(_, us)| *us).max();
        prop_assert_eq!(found.exercised.get("versions behind, max").copied(), worst, "{:#?}\n{}", found, text);
        prop_assert_eq!(found.exercised.get("microseconds behind, max").copied(), longest, "{:#?}\n{}", found, text);
        let stale = expected.iter().filter(|(versions, _)| *versions > 0).count() as u64;
        prop_assert_eq!(found.exercised["reads that are behind"], stale);
        let expected = match worst {
            None => Verdict::Unknown,
            Some(worst) if worst > versions_max => Verdict::Violated,
            Some(_) => Verdict::Valid,
        };
        prop_assert_eq!(found.verdict, expected, "{}", text);
        if let Some((_, stale)) = &found.by_versions {
            // What the witness names fails by itself.
            let kept: Vec<u32> = stale.calls.iter().flat_map(|call| {
                let call = &history.calls()[*call as usize];
                call.invoke.into_iter().chain(call.complete)
            }).collect();
            let lines = text.lines().enumerate().filter(|(at, _)| kept.contains(&(*at as u32)));
            let alone: Vec<&str> = lines.map(|(_, line)| line).collect();
            let again = read(&mut alone.join("\n").as_bytes(), Format::Edn).expect("a history");
            prop_assert_eq!(judged(&again, options).verdict, Verdict::Violated);
        }
    }
}
