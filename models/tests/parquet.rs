//! Histories as Parquet: what is written is read back by the crate's own reader, and every row says what the
//! history's own line says.

use std::io::{self, Write};

use bytes::Bytes;
use crosscheck_models::foreign::{Format, ours_as_jsonl, ours_as_parquet, read, write_parquet};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::history::History;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value as Json, json};

/// One of every `f`, and one of every field.
const OURS: &str = r#"{"crosscheck":1,"design":"outbox-poll-id-cursor","backend":"local","seed":1}
{"index":0,"time":10,"process":0,"type":"invoke","f":"write","value":{"op_id":"w1","key":"k1","value":"a"}}
{"index":1,"time":11,"process":"client-0","type":"ok","f":"step","value":{"actor":"client-0","n":0,"system":"db","call":"INSERT","outcome":"ok","since":10,"op_id":"w1","saw":"id 1"}}
{"index":2,"time":20,"process":0,"type":"ok","f":"write","value":{"op_id":"w1","key":"k1","value":"a","ver":2,"base_ver":1}}
{"index":3,"time":30,"process":"consumer","type":"ok","f":"deliver","value":{"topic":"events","partition":3,"offset":7,"key":"k1","ver":2,"value":{"deep":[1,"b"]},"op_id":"w1","event_id":"e-9"}}
{"index":4,"time":31,"process":"consumer","type":"ok","f":"effect","value":{"store":"projection","key":"k1","ver":2,"op_id":"w1"}}
{"index":5,"time":40,"process":1,"type":"invoke","f":"read","value":{"key":"k1"}}
{"index":6,"time":45,"process":1,"type":"ok","f":"read","value":{"key":"k1","ver":2,"value":41,"source":"cache"}}
{"index":7,"time":50,"process":1,"type":"invoke","f":"txn","value":{"op_id":"t1","reads":[{"key":"k1"}],"writes":[{"key":"k2","delta":5}]}}
{"index":8,"time":60,"process":1,"type":"info","f":"txn","value":{"op_id":"t1","writes":[{"key":"k2","delta":5}]},"error":"connection lost at COMMIT"}
{"index":9,"time":65,"process":2,"type":"invoke","f":"write","value":{"op_id":"w2","key":"k2","delta":-5}}
{"index":10,"time":90,"process":"harness","type":"ok","f":"final_sot","value":[{"key":"k1","ver":2,"value":"a"}]}
"#;

/// The rows of a file, without what is null.
fn rows(file: Vec<u8>) -> Vec<Map<String, Json>> {
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("it is a Parquet file");
    let rows = reader.get_row_iter(None).expect("its columns can be read");
    rows.map(|row| {
        let row = row.expect("the row can be read");
        let cells = row.get_column_iter().filter_map(|(name, field)| {
            let value = match field {
                Field::Null => return None,
                Field::Long(number) => json!(number),
                Field::Str(text) => json!(text),
                other => panic!("{name} holds {other:?}"),
            };
            Some((name.clone(), value))
        });
        cells.collect()
    })
    .collect()
}

/// What a row must say, from the line of JSON alone.
fn expected(line: &Json) -> Map<String, Json> {
    let (value, mut row) = (&line["value"], Map::new());
    let mut put = |name: &str, value: &Json| {
        if !value.is_null() {
            row.insert(name.to_owned(), value.clone());
        }
    };
    put("index", &line["index"]);
    put("time_ns", &line["time"]);
    put(if line["process"].is_i64() { "process" } else { "actor" }, &line["process"]);
    for name in ["type", "f", "error"] {
        put(name, &line[name]);
    }
    for name in ["op_id", "key", "delta", "source", "store", "topic", "partition", "offset", "event_id"] {
        put(name, &value[name]);
    }
    put("version", &value["ver"]);
    put("base_version", &value["base_ver"]);
    if value.get("value").is_some_and(|value| !value.is_null()) {
        put("value", &json!(value["value"].to_string()));
    }
    if value["value"].is_i64() {
        put("value_int", &value["value"]);
    }
    row
}

/// Every row is the one of its line; the body is the same JSON, whatever the order of its fields.
fn assert_rows(rows: Vec<Map<String, Json>>, lines: &[Json]) {
    assert_eq!(rows.len(), lines.len());
    for (mut row, line) in rows.into_iter().zip(lines) {
        let body = row.remove("body").expect("every event says something");
        let body: Json = serde_json::from_str(body.as_str().expect("it is a text")).expect("it is JSON");
        assert_eq!(body, line["value"], "of {line}");
        assert_eq!(row, expected(line));
    }
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn every_row_says_what_the_line_of_the_history_says() {
    let (history, _) = History::parse(OURS).expect("it keeps the rules");
    let mut file = Vec::new();
    ours_as_parquet(&history, &mut file).expect("memory takes it");
    let reader = SerializedFileReader::new(Bytes::from(file.clone())).expect("it is a Parquet file");
    let metadata = reader.metadata().file_metadata().key_value_metadata().expect("there is some");
    assert_eq!(metadata[0].value.as_deref(), OURS.lines().next());
    assert_rows(rows(file), &lines(OURS)[1..]);
}

#[test]
fn a_long_history_takes_several_groups_and_keeps_all_rows() {
    let mut text = Vec::new();
    let spec = Spec::new(Kind::CrossSystem, Isolation::Serializable, 25_000, 1);
    generate(&spec, &mut text).expect("memory takes it");
    let text = String::from_utf8(text).expect("it is UTF-8");
    let (history, _) = History::parse(&text).expect("it keeps the rules");
    let mut file = Vec::new();
    ours_as_parquet(&history, &mut file).expect("memory takes it");
    let reader = SerializedFileReader::new(Bytes::from(file.clone())).expect("it is a Parquet file");
    assert!(reader.num_row_groups() > 1, "{} events", history.len());
    assert_rows(rows(file), &lines(&text)[1..]);
}

#[test]
fn what_others_recorded_has_its_columns_too() {
    let text = "{:index 4 :time 7 :process 0 :type :invoke :f :write :value [x 3]}
        {:process :nemesis :type :info :f :start :value nil}
        {:process 0 :type :ok :f :write :value [x 3]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("it is EDN");
    let mut file = Vec::new();
    write_parquet(&history, &mut file).expect("memory takes it");
    let wanted = [
        json!({"index":4,"time_ns":7,"process":0,"type":"invoke","f":"write","key":"x","value":"3","value_int":3,
            "body":"[\"x\",3]"}),
        json!({"index":1,"actor":"nemesis","type":"info","f":"start"}),
        json!({"index":2,"process":0,"type":"ok","f":"write","key":"x","value":"3","value_int":3,
            "body":"[\"x\",3]"}),
    ];
    assert_eq!(rows(file).into_iter().map(Json::Object).collect::<Vec<_>>(), wanted);
}

#[test]
fn transactions_of_others_lie_in_the_body() {
    let (ours, _) = History::parse(OURS).expect("it keeps the rules");
    let mut text = Vec::new();
    ours_as_jsonl(&ours, &mut text).expect("memory takes it");
    let history = read(&mut text.as_slice(), Format::Json).expect("it is JSON");
    let mut file = Vec::new();
    write_parquet(&history, &mut file).expect("memory takes it");
    let rows = rows(file);
    assert_eq!(rows.len(), ours.len());
    assert_eq!(rows[7]["body"], json!("[[\"r\",\"k1\",null],[\"add\",\"k2\",5]]"));
}

/// A disk that is full after so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken > 0 { Ok(taken) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let (history, _) = History::parse(OURS).expect("it keeps the rules");
    for room in [0, 3, 100, 900] {
        let error = ours_as_parquet(&history, Full(room)).expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }
    let huge = OURS.replace("\"ver\":2,\"value\":41", "\"ver\":9223372036854775808,\"value\":41");
    let (history, _) = History::parse(&huge).expect("it keeps the rules");
    let error = ours_as_parquet(&history, Vec::new()).expect_err("it is too large");
    assert!(error.to_string().starts_with("event 6: 9223372036854775808 is more"), "{error}");
}
