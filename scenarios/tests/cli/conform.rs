//! `crosscheck conform` on the model, where no server is.

use std::path::Path;

use crate::crosscheck;

const SPEC: &str = "\
setup { CREATE TABLE t (id int); }
teardown { DROP TABLE t; }
session s
step i { INSERT INTO t VALUES (1) RETURNING id; }
";

const RIGHT: &str = "\
Parsed test spec with 1 sessions

starting permutation: i
step i: INSERT INTO t VALUES (1) RETURNING id;
id
--
 1
(1 row)

";

fn case(name: &str, spec: &str, out: &str) -> [(String, String); 2] {
    [(format!("{name}.spec"), spec.to_owned()), (format!("expected/{name}.out"), out.to_owned())]
}

fn conform(cases: &[[(String, String); 2]]) -> (i32, String) {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    std::fs::create_dir(dir.path().join("expected")).expect("the directory is ours");
    for (name, content) in cases.iter().flatten() {
        std::fs::write(dir.path().join(name), content).expect("the directory is ours");
    }
    let ran = crosscheck(dir.path(), &["conform", ".", "--backend", "model"]);
    (ran.exit, ran.stdout)
}

#[test]
fn equal_outputs_are_counted() {
    let (exit, stdout) = conform(&[case("one", SPEC, RIGHT)]);
    assert!(stdout.ends_with("model: 1 equal, 0 refused, 0 wrong\n"), "{stdout}");
    assert_eq!(exit, 0);
}

#[test]
fn another_output_is_shown_and_ends_with_1() {
    let wrong = RIGHT.replace(" 1\n", " 2\n");
    let (exit, stdout) = conform(&[case("one", SPEC, RIGHT), case("two", SPEC, &wrong)]);
    assert!(stdout.contains("    -  2\n    +  1\n"), "{stdout}");
    assert!(stdout.ends_with("model: 1 equal, 0 refused, 1 wrong\n"), "{stdout}");
    assert_eq!(exit, 1);
}

#[test]
fn what_the_model_does_not_know_is_counted_by_name() {
    let unknown = SPEC.replace("INSERT INTO t VALUES (1) RETURNING id", "CLUSTER t");
    let (exit, stdout) =
        conform(&[case("one", &unknown, "x"), case("three", SPEC, RIGHT), case("two", &unknown, "x")]);
    assert!(stdout.contains("not known, by the number of cases\n    2  "), "{stdout}");
    assert!(stdout.ends_with("model: 1 equal, 2 refused, 0 wrong\n"), "{stdout}");
    assert_eq!(exit, 3);
}

#[test]
fn the_page_of_cases_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ran = crosscheck(&root, &["conform", "harness/conformance", "--markdown"]);
    let page = std::fs::read_to_string(root.join("docs/conformance.md")).expect("the page is there");
    assert!(
        ran.stdout == page,
        "it is not: crosscheck conform harness/conformance --markdown > docs/conformance.md"
    );
}
