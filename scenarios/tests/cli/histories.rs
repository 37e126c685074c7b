//! Histories as an outsider writes them by hand from the documentation.

/// A write of two keys, both committed; the event of `w1` is in no topic and was never received.
pub(crate) fn lost_event() -> String {
    lines(&[
        r#"{"crosscheck":1}"#,
        r#"{"index":0,"time":1000,"process":0,"type":"invoke","f":"write","value":{"op_id":"w1","key":"k1","value":"a"}}"#,
        r#"{"index":1,"time":2000,"process":1,"type":"invoke","f":"write","value":{"op_id":"w2","key":"k2","value":"b"}}"#,
        r#"{"index":2,"time":3000,"process":1,"type":"ok","f":"write","value":{"op_id":"w2","key":"k2","value":"b","ver":1}}"#,
        r#"{"index":3,"time":4000,"process":0,"type":"ok","f":"write","value":{"op_id":"w1","key":"k1","value":"a","ver":1}}"#,
        r#"{"index":4,"time":5000,"process":"consumer","type":"ok","f":"deliver","value":{"topic":"events","partition":0,"offset":0,"key":"k2","ver":1,"value":"b","op_id":"w2"}}"#,
        r#"{"index":5,"time":9000,"process":"harness","type":"ok","f":"final_ledger","value":[{"key":"k1","ver":1,"op_id":"w1"},{"key":"k2","ver":1,"op_id":"w2"}]}"#,
        r#"{"index":6,"time":9001,"process":"harness","type":"ok","f":"final_log","value":[{"topic":"events","partition":0,"offset":0,"key":"k2","ver":1,"value":"b","op_id":"w2"}]}"#,
    ])
}

/// The same where the event of `w1` came later.
pub(crate) fn nothing_lost() -> String {
    lost_event()
        + &lines(&[
            r#"{"index":7,"time":9002,"process":"consumer","type":"ok","f":"deliver","value":{"topic":"events","partition":0,"offset":1,"key":"k1","ver":1,"value":"a","op_id":"w1"}}"#,
        ])
}

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
