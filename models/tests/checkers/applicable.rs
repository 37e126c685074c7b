//! Which properties a history says anything about, and that those are the ones that are judged.

use crosscheck_models::check::{Options, applicable, check_all, check_applicable, check_verified};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::history::History;
use crosscheck_models::property::Property;

use crate::history_text;

fn names(text: &str, options: &Options) -> String {
    let found = applicable(&history_text::history(text), options);
    found.iter().map(|property| property.id()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_history_is_about_is_told_by_its_events() {
    let cases = [
        ("c gets w1 k1 v1", "per-key-order no-dup"),
        ("log w1 k1 v1", "per-key-order no-dup"),
        ("c gets w1 k1 v1\nledger w1 k1 v1", "no-ghost no-loss per-key-order no-dup fidelity no-lost-update"),
        (
            "c gets w1 k1 v1\nledger w1 k1 v1 c1",
            "no-ghost no-loss per-key-order global-order no-dup fidelity no-lost-update",
        ),
        ("0 reads k1 v1 cache", "monotonic-reads"),
        ("c applies mail w1 k1 v1", "effect-once monotonic-reads"),
        ("delta 5\n0 reads k1 v1 cache", "bounded-staleness monotonic-reads"),
        ("delta 5\nledger w1 k1 v1", "no-lost-update"),
        ("0 writes w1 k1 v1\n0 reads k1 v1 cache", "monotonic-reads read-your-writes"),
        ("0 invokes w1 k1\n0 info w1 k1\n1 reads k1 v1 cache", "monotonic-reads"),
        ("0 writes w1 k1 v1\nledger w1 k1 v1", "no-lost-update ack-durability"),
        ("0 writes w1 k1 v1\nsot k1 v1", "ack-durability"),
        ("0 writes w1 k1 v1", ""),
        ("ledger w1 k1 v1", "no-lost-update"),
        ("sot k1 v1\ncopies k1 v1", "convergence"),
        ("copies k1 v1", ""),
        ("a0 calls db INSERT since 5", "liveness"),
    ];
    for (text, expected) in cases {
        assert_eq!(names(text, &Options::default()), expected, "{text}");
    }
    let stuck = Options { stuck: vec!["relay".to_owned()], ..Options::default() };
    assert_eq!(names("sot k1 v1", &stuck), "liveness");
    let early = "c gets w1 k1 v1\n0 reads k1 v1 db";
    assert_eq!(names(early, &Options::default()), "no-early per-key-order no-dup monotonic-reads");
}

/// Together they are judged as each by itself.
#[test]
fn all_that_applies_is_judged() {
    let mut text = Vec::new();
    generate(&Spec::new(Kind::CrossSystem, Isolation::LostUpdate, 300, 4), &mut text)
        .expect("memory takes it");
    let (history, _) = History::parse_bytes(&text).expect("a history");
    let options = Options::default();
    let properties = applicable(&history, &options);
    let each: Vec<_> = properties.iter().map(|one| check_verified(&history, *one, &options)).collect();
    assert!(each.len() > 6 && each.iter().any(|found| found.witness.is_some()));
    assert_eq!(check_applicable(&history, &options), each);
    assert_eq!(check_all(&history, &properties, &options), each);
    assert_eq!(check_all(&history, &[Property::NoDup], &options).len(), 1);
}
