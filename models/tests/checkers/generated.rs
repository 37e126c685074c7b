//! Generated histories of several systems: the correct ones violate nothing, and each bug is found by its name.

use crosscheck_models::check::{Options, applicable, check};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::history::History;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;

fn history(isolation: Isolation, seed: u64, rate: u32) -> History {
    let mut out = Vec::new();
    let spec = Spec {
        clients: 5,
        info_per_mille: rate,
        fail_per_mille: rate,
        ..Spec::new(Kind::CrossSystem, isolation, 600, seed)
    };
    generate(&spec, &mut out).expect("memory takes it");
    let text = String::from_utf8(out).expect("JSON is text");
    let (history, notes) = History::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    assert!(notes.is_empty());
    assert_eq!(history.to_text(), text, "it is written as Crosscheck itself writes it");
    history
}

fn violated(history: &History) -> Vec<Property> {
    let options = Options::default();
    let properties = applicable(history, &options);
    assert!(properties.len() > 6, "{properties:?}");
    properties
        .into_iter()
        .filter(|property| check(history, *property, &options).verdict == Verdict::Violated)
        .collect()
}

#[test]
fn a_correct_pipeline_violates_nothing() {
    for seed in 0..10 {
        for rate in [0, 50] {
            assert_eq!(violated(&history(Isolation::Serializable, seed, rate)), [], "{seed}");
        }
    }
}

#[test]
fn each_bug_is_found_by_its_name() {
    let cases = [
        (Isolation::SnapshotIsolation, Property::PerKeyOrder),
        (Isolation::ReadCommitted, Property::NoDup),
        (Isolation::ReadUncommitted, Property::NoGhost),
        (Isolation::LostUpdate, Property::NoLoss),
    ];
    for (isolation, property) in cases {
        for seed in 0..5 {
            let found = violated(&history(isolation, seed, 200));
            assert!(found.contains(&property), "{isolation} {seed}: {found:?}");
        }
    }
}
