//! What people and machines see of a run.

mod fixture;

use std::borrow::Cow;

use crosscheck_models::history::{EventBody, Kind, Process, Read, ReadItem, Scalar, Write, WriteItem};
use crosscheck_models::verdict::Verdict;
use crosscheck_reports::document::RunDocument;
use crosscheck_reports::run::{RunInfo, RunVerdict, SavedRun};
use crosscheck_reports::text::Style;
use crosscheck_reports::{html, json, junit, markdown, text};

#[test]
fn a_violated_run_in_a_terminal() {
    insta::assert_snapshot!(text::render(&fixture::lost_event(), Style::Plain));
}

#[test]
fn a_run_without_a_finding_in_a_terminal() {
    insta::assert_snapshot!(text::render(&fixture::nothing_found(), Style::Plain));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let run = fixture::lost_event();
    let coloured = text::render(&run, Style::Ansi);
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        stripped.push_str(before);
        rest = after.split_once('m').expect("every sequence ends").1;
    }
    stripped.push_str(rest);
    assert!(coloured.contains("\x1b[1;31mVIOLATED\x1b[0m"));
    assert_eq!(stripped, text::render(&run, Style::Plain));
}

#[test]
fn an_unknown_run_says_why() {
    let mut run = fixture::lost_event();
    run.verdict.verdict = Verdict::Unknown;
    run.verdict.reason = Some("the fault db-crash was scheduled and did not take".into());
    run.faults[0].took = false;
    let shown = text::render(&run, Style::Plain);
    assert!(shown.starts_with("UNKNOWN  outbox-poll-id-cursor on local\nCould not tell: the fault db-crash was scheduled and did not take.\n"));
    assert!(shown.contains("did not take  the proxy drops"));
    assert!(
        junit::render(&[run]).contains(
            r#"<error message="the fault db-crash was scheduled and did not take" type="unknown"/>"#
        )
    );
}

#[test]
fn runs_as_junit() {
    insta::assert_snapshot!(junit::render(&[fixture::lost_event(), fixture::nothing_found()]));
}

#[test]
fn runs_as_markdown() {
    insta::assert_snapshot!(markdown::render(&[fixture::lost_event(), fixture::nothing_found()]));
}

#[test]
fn runs_as_json() {
    let runs = [fixture::lost_event(), fixture::nothing_found()];
    insta::assert_snapshot!(json::render(&RunDocument::of(&runs)));
}

#[test]
fn a_saved_verdict_reads_back_as_it_was_written() {
    let run = fixture::lost_event();
    let verdict: RunVerdict = serde_json::from_str(&json::render(&run.verdict)).expect("it reads back");
    let info: RunInfo = serde_json::from_str(&json::render(&run.info)).expect("it reads back");
    assert_eq!((info, verdict), (run.info, run.verdict));
}

/// The page without its style and script, a tag a line.
fn skeleton(page: &str) -> String {
    let mut out = String::new();
    for piece in page.split_inclusive('>') {
        out.push_str(piece);
        out.push('\n');
    }
    for (from, to) in [("<style>\n", "</style>"), ("<script>\n", "</script>")] {
        let (before, rest) = out.split_once(from).expect("the page has it");
        let (_, after) = rest.split_once(to).expect("it ends");
        out = format!("{before}{from}..{to}{after}");
    }
    out
}

#[test]
fn the_report_of_a_lost_event() {
    insta::assert_snapshot!(skeleton(&html::render(&fixture::lost_event())));
}

#[test]
fn runs_side_by_side() {
    let page = html::render_compare(&[fixture::lost_event(), fixture::nothing_found()]);
    insta::assert_snapshot!(
        page.split_once("<main>").expect("it has a main part").1.replace("</tr>", "</tr>\n")
    );
}

#[test]
fn a_page_names_no_address() {
    let runs = [fixture::lost_event(), fixture::nothing_found()];
    for page in [html::render(&runs[0]), html::render(&runs[1]), html::render_compare(&runs)] {
        for scheme in ["http:", "https:", "//cdn", "@import", "url(", "src="] {
            assert!(!page.contains(scheme), "the page contains {scheme}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn texts_of_a_run_cannot_become_markup() {
    const HOSTILE: &str = "</script><script>alert(1)</script><!--\"'&]]>";
    let mut run = fixture::lost_event();
    run.info.variant = HOSTILE.into();
    run.info.title = HOSTILE.into();
    run.info.replay = HOSTILE.into();
    run.info.versions.insert(HOSTILE.into(), HOSTILE.into());
    run.faults[0].id = HOSTILE.into();
    run.faults[0].colour = "red\"><script>".into();
    let mut events = run.history.events().map(Cow::into_owned).collect::<Vec<_>>();
    events[12].body = EventBody::Read(Read { item: ReadItem { key: HOSTILE.into(), ..ReadItem::default() } });
    events[13].body = EventBody::Read(Read {
        item: ReadItem { key: HOSTILE.into(), value: Scalar::Text(HOSTILE.into()), ..ReadItem::default() },
    });
    events[16].error = Some(HOSTILE.into());
    run.history = fixture::history(events);
    let witness = run.verdict.properties[1].verdict.witness.as_mut().expect("it is violated");
    witness.summary = HOSTILE.into();
    witness.story[0].who = HOSTILE.into();
    witness.story[1].text = HOSTILE.into();

    let page = html::render(&run);
    assert_eq!(page.matches("<script").count(), 2, "the data and the code");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let data = page.split_once(r#"id="run-data">"#).and_then(|(_, rest)| rest.split_once("</script>"));
    let data: serde_json::Value =
        serde_json::from_str(data.expect("the page has data").0).expect("it is JSON");
    assert_eq!(data["events"][12][5]["key"], HOSTILE);

    assert!(!html::render_compare(&[run.clone()]).contains("<script"));
    assert!(!markdown::render(&[run.clone()]).split("```").step_by(2).any(|prose| prose.contains("<script")));
    assert!(!junit::render(&[run]).contains("<script"));
}

fn many_operations(count: u64) -> SavedRun {
    let mut run = fixture::nothing_found();
    let mut events = Vec::new();
    for number in 0..count {
        let process = Process::Client(number % 10);
        let (start, key) = (number * 100_000, format!("k{}", number % 50));
        let body = |ver| {
            if number % 2 == 0 {
                let item = WriteItem {
                    key: key.as_str().into(),
                    value: Scalar::Int(number as i64),
                    ver,
                    ..WriteItem::default()
                };
                EventBody::Write(Write { op_id: format!("c{}-{number}", number % 10).into(), item })
            } else {
                EventBody::Read(Read {
                    item: ReadItem { key: key.as_str().into(), ver, ..ReadItem::default() },
                })
            }
        };
        events.push(fixture::event(2 * number, start, process, Kind::Invoke, body(None)));
        events.push(fixture::event(
            2 * number + 1,
            start + 900_000,
            process,
            Kind::Ok,
            body(Some(number + 1)),
        ));
    }
    run.history = fixture::history(events);
    run
}

#[test]
fn a_hundred_thousand_operations_fit_one_page() {
    let page = html::render(&many_operations(100_000));
    assert!(page.len() < 30_000_000, "{} bytes", page.len());
    assert!(!page.contains("left out of the lanes"));
}

#[test]
fn what_does_not_fit_is_left_out_and_counted() {
    let page = html::render(&many_operations(250_000));
    assert!(page.len() < 30_000_000, "{} bytes", page.len());
    assert!(page.contains("of 500,000 events, from "), "the page says what it leaves out");
}

#[test]
fn a_run_that_recorded_nothing_renders() {
    let mut run = fixture::nothing_found();
    run.history = fixture::history(Vec::new());
    assert!(html::render(&run).contains("0 completed operations"));
    assert!(text::render(&run, Style::Plain).contains("0 in 5.2 s"));
}
