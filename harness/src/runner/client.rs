//! A client: takes operations one by one, stamps each before it is sent and after it has answered. After an
//! unknown outcome its process is retired and a new one begins, with connections of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_models::history::{EventBody, Kind, Process, Read, ReadItem, Txn, Write, WriteItem};

use super::Run;
use crate::design::{Done, Failure, Role};
use crate::operation::{Operation, OperationKind};

/// Where a client's operations come from.
pub(crate) trait Source: Send {
    /// The next operation, and how long to wait before it; none at the end.
    fn next(&mut self) -> Option<(Duration, Operation)>;

    /// Lets the time before an operation pass.
    fn wait(&mut self, length: Duration) -> impl Future<Output = ()> + Send {
        async move {
            // Even a sleep of nothing lasts until the timer's next millisecond.
            if !length.is_zero() {
                tokio::time::sleep(length).await;
            }
        }
    }

    /// Told of an operation that ended: when it was sent, when its answer came, and what came of it.
    fn done(&mut self, _begun_ns: u64, _done_ns: u64, _kind: Kind) {}
}

/// The client in slot `slot` of `slots` works until its source ends.
pub(crate) async fn work(run: Arc<Run>, slot: usize, slots: usize, mut source: impl Source) {
    let actor: Arc<str> = format!("client-{slot}").into();
    let mut process = slot as u64;
    let mut next = source.next();
    'process: while next.is_some() {
        let mut crashed = run.gate.begin(&actor);
        let (mut ctx, stepper) = run.ctx(&actor, Role::Client);
        while let Some((wait, operation)) = next.take() {
            let id = Process::Client(process);
            let mut begun_ns = None;
            let outcome = {
                let attempt = async {
                    source.wait(wait).await;
                    ctx.between().await;
                    ctx.on_behalf_of(Some(&operation.op_id));
                    let now = run.recorder.clock().now_ns();
                    begun_ns = Some(now);
                    run.recorder.record_at(now, &id, Kind::Invoke, asked(&operation), None);
                    let code = run.design.operate(&mut ctx, &operation);
                    let outcome = run.guarded(&actor, code).await;
                    outcome.unwrap_or_else(|panic| Err(Failure::Unknown(panic)))
                };
                tokio::select! {
                    biased;
                    outcome = attempt => Some(outcome),
                    _ = &mut crashed => None,
                }
            };
            let now = run.recorder.clock().now_ns();
            if outcome.is_none() {
                stepper.record_end("crash");
            }
            let Some(begun_ns) = begun_ns else {
                // It crashed between two operations: nothing was asked, and the operation is still to do.
                next = Some((Duration::ZERO, operation));
                continue 'process;
            };
            let (kind, body, error) = judged(&operation, outcome);
            let retired = kind == Kind::Info;
            run.recorder.record_at(now, &id, kind, body, error);
            source.done(begun_ns, now, kind);
            next = source.next();
            if retired {
                process += slots as u64;
                continue 'process;
            }
        }
    }
    run.gate.finish(&actor);
}

fn asked(operation: &Operation) -> EventBody {
    match operation.f {
        OperationKind::Read => EventBody::Read(Read {
            item: ReadItem { key: operation.key.as_str().into(), ..ReadItem::default() },
        }),
        OperationKind::Write | OperationKind::Add => {
            EventBody::Write(Write { op_id: operation.op_id.as_str().into(), item: asked_write(operation) })
        }
    }
}

fn asked_write(operation: &Operation) -> WriteItem {
    let mut item = WriteItem { key: operation.key.as_str().into(), ..WriteItem::default() };
    match operation.f {
        OperationKind::Add => item.delta = Some(operation.value),
        OperationKind::Write | OperationKind::Read => {
            item.value = crosscheck_models::history::Scalar::Int(operation.value);
        }
    }
    item
}

/// The completion. A crash and an unknown error are info; the body of a completion without an answer
/// repeats the question.
fn judged(
    operation: &Operation,
    outcome: Option<Result<Done, Failure>>,
) -> (Kind, EventBody, Option<String>) {
    match outcome {
        Some(Ok(done)) => (Kind::Ok, answered(operation, done), None),
        Some(Err(Failure::Aborted(reason))) => (Kind::Fail, asked(operation), Some(reason)),
        Some(Err(Failure::Unknown(reason))) => (Kind::Info, asked(operation), Some(reason)),
        None => (Kind::Info, asked(operation), Some("the application crashed".to_owned())),
    }
}

fn answered(operation: &Operation, mut done: Done) -> EventBody {
    match (done.reads.len(), done.writes.len()) {
        (1, 0) if operation.f == OperationKind::Read => EventBody::Read(Read { item: done.reads.remove(0) }),
        (0, 1) if operation.f != OperationKind::Read => {
            EventBody::Write(Write { op_id: operation.op_id.as_str().into(), item: done.writes.remove(0) })
        }
        _ => EventBody::Txn(Txn {
            op_id: operation.op_id.as_str().into(),
            reads: done.reads,
            writes: done.writes,
        }),
    }
}
