//! Histories of others: every format reads the same operations, and what is malformed or hostile is refused
//! with one message.

use crosscheck_models::foreign::{
    Columns, Format, OpHistory, Outcome, ReadError, detect, read, read_with, write_edn, write_jsonl,
};
use proptest::prelude::*;

const EDN: &str = r#"; a comment
{:index 0, :time 10, :process 0, :type :invoke, :f :txn, :value [[:append 3 1] [:r "x" nil]]}
#jepsen.history.Op{:index 1 :time 20 :process 0 :type :ok :f :txn :value [[:append 3 1] #_ignored [:r "x" [1 2]]]}
{:index 2, :time 30, :process :nemesis, :type :info, :f :start, :value nil, :extra {:a #{1 2}, :b #inst "2026"}}
{:index 3, :time 40, :process 1, :type :invoke, :f :read, :value 123456789012}
{:index 4, :time 50, :process 1, :type :info, :f :read, :value 123456789012, :error [:timeout "a\nb"]}
"#;

const JSONL: &str = r#"{"index":0,"time":10,"process":0,"type":"invoke","f":"txn","value":[["append",3,1],["r","x",null]]}
{"index":1,"time":20,"process":0,"type":"ok","f":"txn","value":[["append",3,1],["r","x",[1,2]]]}
{"index":2,"time":30,"process":"nemesis","type":"info","f":"start","value":null}
{"index":3,"time":40,"process":1,"type":"invoke","f":"read","value":123456789012}
{"index":4,"time":50,"process":1,"type":"info","f":"read","value":123456789012}
"#;

fn parsed(text: &str, format: Format) -> OpHistory {
    read(&mut text.as_bytes(), format).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn edn(history: &OpHistory) -> String {
    let mut out = Vec::new();
    write_edn(history, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("EDN is text")
}

fn jsonl(history: &OpHistory) -> String {
    let mut out = Vec::new();
    write_jsonl(history, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("JSON is text")
}

fn refusal(text: &[u8], format: Format) -> String {
    let mut input = text;
    match read(&mut input, format) {
        Err(error @ ReadError::Malformed { .. }) => error.to_string(),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(&text[..text.len().min(80)])),
    }
}

#[test]
fn edn_and_json_read_the_same() {
    assert_eq!(jsonl(&parsed(EDN, Format::Edn)), JSONL);
    assert_eq!(jsonl(&parsed(JSONL, Format::Json)), JSONL);
}

#[test]
fn a_vector_is_as_good_as_lines() {
    let array = format!("[{}]", JSONL.trim_end().replace('\n', ",\n"));
    assert_eq!(jsonl(&parsed(&array, Format::Json)), JSONL);
    assert_eq!(jsonl(&parsed(&format!("[{}\n]", EDN.trim_end()), Format::Edn)), JSONL);
    assert_eq!(jsonl(&parsed(&format!("({}\n)", EDN.trim_end()), Format::Edn)), JSONL);
    assert_eq!(jsonl(&parsed(&edn(&parsed(JSONL, Format::Json)), Format::Edn)), JSONL);
}

#[test]
fn numbers_keys_and_texts_keep_their_spelling() {
    let text = "{:process 0 :type :ok :f :write :value [1/2 1.5M 12345678901234567890123N -7 +8 0x1F :k sym \"t\\u00e9\" \\a ##NaN true (1 [2]) {:a 1}]}";
    let shown = parsed(text, Format::Edn).value(0).to_string();
    assert_eq!(
        shown,
        "[1/2 1.5M 12345678901234567890123N -7 8 0x1F :k :sym \"té\" \"a\" :NaN true [1 [2]] {:a 1}]"
    );
    let numbers = "{\"process\":0,\"type\":\"ok\",\"f\":\"x\",\"value\":[1e3,-2.5,99999999999999999999,\"\\ud83d\\ude00\"]}";
    assert_eq!(parsed(numbers, Format::Json).value(0).to_string(), "[1e3 -2.5 99999999999999999999 \"😀\"]");
}

#[test]
fn log_lines_are_found_between_others() {
    let log = "starting up\n\
        INFO  jepsen.util - 0\t:invoke\t:write\t3\n\
        2021-01-02 INFO [jepsen worker 1] jepsen.util: whatever\n\
        INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
        INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\n\
        INFO  jepsen.util - 1\t:info\t:cas\t:timed-out\n\
        INFO  jepsen.util - 0\t:ok\t:write\t3\n";
    let history = parsed(log, Format::JepsenLog);
    assert_eq!(history.ops().len(), 5);
    let ended: Vec<(String, Outcome)> =
        history.calls().iter().map(|call| (history.value_of(call).to_string(), call.outcome)).collect();
    assert_eq!(ended, [("3".to_owned(), Outcome::Ok), ("[1 2]".to_owned(), Outcome::Info)]);
    assert_eq!(history.ops()[4].line, 7);
}

#[test]
fn plume_lines_make_transactions() {
    let history = parsed("w(1,1,0,0)\nw(2,1,0,0)\nr(1,1,1,5)\nr(2,0,1,5)\n\n", Format::Plume);
    assert_eq!(
        edn(&history),
        "{:index 0, :process 0, :type :ok, :f :txn, :value [[:w 1 1] [:w 2 1]]}\n\
         {:index 1, :process 1, :type :ok, :f :txn, :value [[:r 1 1] [:r 2 nil]]}\n"
    );
    assert!(!history.is_timed());
    assert!(refusal(b"w(1,1,0)", Format::Plume).contains("`,` is expected"));
    assert!(refusal(b"x", Format::Plume).starts_with("line 1, column 1: a line like r(key"));
}

#[test]
fn rows_are_read_by_the_names_of_their_columns() {
    let table =
        "session,type,op,account,value,at\n7,invoke,write,a,\"1\",5\n7,ok,write,a,1,9\n8,,read,\"b,c\",,11\n";
    let columns: Columns = "process=session,f=op,key=account,time=at".parse().expect("roles and names");
    let history = read_with(&mut table.as_bytes(), Format::Csv, &columns).expect("a table");
    assert_eq!(
        edn(&history),
        "{:index 0, :time 5, :process 7, :type :invoke, :f :write, :value [\"a\" 1]}\n\
         {:index 1, :time 9, :process 7, :type :ok, :f :write, :value [\"a\" 1]}\n\
         {:index 2, :time 11, :process 8, :type :ok, :f :read, :value [\"b,c\" nil]}\n"
    );
    assert!(refusal(table.as_bytes(), Format::Csv).contains("no column \"process\""));
    assert!("who=x".parse::<Columns>().expect_err("no role").contains("process, type"));
}

#[test]
fn formats_are_told_by_how_they_begin() {
    let expected = [
        (EDN, Some(Format::Edn)),
        (JSONL, Some(Format::Json)),
        ("  [{\"index\":0", Some(Format::Json)),
        ("[{:index 0", Some(Format::Edn)),
        ("[\n #jepsen.history.Op{", Some(Format::Edn)),
        ("INFO  jepsen.util - 0\t:invoke", Some(Format::JepsenLog)),
        ("w(1,1,0,0)\n", Some(Format::Plume)),
        ("process,value\n1,2\n", Some(Format::Csv)),
        ("{\"crosscheck\":1}\n", None),
        ("hello", None),
        ("", None),
    ];
    for (text, format) in expected {
        assert_eq!(detect(text.as_bytes()), format, "{text}");
    }
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    let op = "{:process 0 :type :ok :f :read :value 1}";
    let cases = [
        (format!("{op}\n{{:process 0 :type :okay}}"), "line 2, column 24: the type of an operation is"),
        (format!("{op}\n{{:type :ok}}"), "has no process"),
        (format!("{op}\n{{:process 0}}"), "has no type"),
        (format!("{op}\n{{:process 0 :type :ok :value [1 2"), "the text ends before `]`"),
        (format!("{op}\n{{:process 0 :type :ok :value {{1}}}}"), "a key without a value"),
        (format!("{op}\n17"), "an operation, a map in braces, is expected, not `1`"),
        (format!("[{op}] x"), "nothing is expected after the vector"),
        ("{:process 0 :type :ok :value \"abc".to_owned(), "ends within a quoted text"),
        ("{:process 0 :type :ok :value 1x2@#}".to_owned(), "this is no number"),
        (
            "{:process 0 :type :invoke :f :read}\n{:process 0 :type :invoke :f :read}".to_owned(),
            "line 2, column 1: process 0 invokes an operation while that of line 1 is still open",
        ),
    ];
    for (text, message) in cases {
        let refused = refusal(text.as_bytes(), Format::Edn);
        assert!(refused.contains(message), "{text}\n{refused}");
    }
    for text in [
        "{\"process\" 0}",
        "{\"process\":0 \"type\":\"ok\"}",
        "[{\"process\":0,\"type\":\"ok\"},]",
        "{\"process\":nope}",
    ] {
        refusal(text.as_bytes(), Format::Json);
    }
}

/// Deep nesting of every kind, endless tokens, bytes that are no text.
#[test]
fn hostile_texts_are_one_message() {
    let deep = |part: &str| format!("{{:process 0 :type :ok :value {}", part.repeat(1_000_000));
    for part in ["[", "{", "(", "#{", "#_", "#_[", "^", "[^{", "{1 ", "[#a "] {
        let refused = refusal(deep(part).as_bytes(), Format::Edn);
        assert!(refused.contains("nested") || refused.contains("expected"), "{part}: {refused}");
    }
    let json = format!("{{\"value\":{}", "[".repeat(1_000_000));
    assert!(refusal(json.as_bytes(), Format::Json).contains("nested more than 100 deep"));
    let endless =
        ["9".repeat(3 << 20), format!("\"{}", "a".repeat(3 << 20)), format!(":{}", "k".repeat(3 << 20))];
    for token in endless {
        let text = format!("{{:process 0 :type :ok :value {token}");
        assert!(refusal(text.as_bytes(), Format::Edn).contains("more than 1 MiB"));
    }
    refusal(&[b"{:process 0 :type :ok :value \"".as_slice(), &[0xFF, 0xFE], b"\"}"].concat(), Format::Edn);
    refusal(&[b"INFO jepsen.util - 0 :ok :read \"".as_slice(), &[0xFF], b"\""].concat(), Format::JepsenLog);
    refusal(&[b"process,value\n0,".as_slice(), &[0xFF]].concat(), Format::Csv);
    refusal("process,value\n0,\"".as_bytes(), Format::Csv);
    refusal("w(99999999999999999999,1,0,0)".as_bytes(), Format::Plume);
}

#[test]
fn an_unpaired_completion_began_after_the_one_before_it() {
    let text = "{:process 0 :type :ok :f :a}{:process 1 :type :ok :f :b}{:process 0 :type :ok :f :c}";
    let history = parsed(text, Format::Edn);
    let spans: Vec<(u32, u32)> = history.calls().iter().map(|call| (call.begin, call.end)).collect();
    assert_eq!(spans, [(0, 0), (0, 1), (1, 2)]);
}

/// Found by fuzzing: names that need escapes, and values of transactions that are no micro-operations.
#[test]
fn whatever_is_read_can_be_written_as_edn() {
    let texts = [
        ("{\"process\":0,\"type\":\"ok\",\"f\":\"a\\u001e\\\"b\",\"value\":1}", Format::Json),
        ("{:process 0 :type :ok :f :txn :value [7 {:a 1} nil [:r :x 1] []]}", Format::Edn),
        ("{:process 0 :type :ok :f :txn :value {[:r 1] 2}}", Format::Edn),
        ("INFO jepsen.util - :\u{1}(x\t:info\t:start[\t:k", Format::JepsenLog),
    ];
    for (text, format) in texts {
        let history = parsed(text, format);
        assert_eq!(history.ops().len(), 1, "{text}");
        assert_eq!(jsonl(&parsed(&edn(&history), Format::Edn)), jsonl(&history), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever the bytes are, there is an answer.
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Edn, Format::Json, Format::JepsenLog, Format::Plume, Format::Csv] {
            let _ = detect(&bytes);
            let _ = read(&mut bytes.as_slice(), format);
        }
    }

    /// Damaged histories too, which get further than random bytes do.
    #[test]
    fn damaged_histories_are_answered(at in 0..EDN.len(), byte in any::<u8>(), cut in any::<bool>()) {
        for (text, format) in [(EDN, Format::Edn), (JSONL, Format::Json)] {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let _ = read(&mut bytes.as_slice(), format);
        }
    }

    /// What is written is read again, whatever the texts in it.
    #[test]
    fn written_histories_are_read_again(text in ".{0,12}", number in any::<i64>()) {
        let quoted = serde_json::to_string(&text).expect("text is JSON");
        let line = format!("{{\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"value\":[{quoted},{number}]}}\n");
        let history = parsed(&line, Format::Json);
        let again = parsed(&edn(&history), Format::Edn);
        prop_assert_eq!(jsonl(&again), jsonl(&history));
        prop_assert_eq!(again.value(0).to_string(), format!("[{quoted} {number}]"));
    }
}

#[test]
fn what_breaks_a_rule_of_our_format_is_named_by_its_own_line_also_behind_a_nemesis() {
    let text = "{:process :nemesis :type :info :f :cut :value nil}\n\
                {:process 0 :time 5 :type :invoke :f :read :value nil}\n\
                {:process 0 :time 3 :type :ok :f :read :value nil}\n";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("it is EDN");
    let error = crosscheck_models::foreign::as_ours(&history).expect_err("time goes back");
    assert!(error.line == 3 && error.to_string().contains("time goes back"), "{error}");
}
