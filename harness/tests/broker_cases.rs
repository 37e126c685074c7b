//! The cases of the broker (`harness/conformance/kafka/`): what the model prints is what is recorded beside them,
//! and what a real Kafka prints. `CROSSCHECK_RECORD=1` records anew what the real one prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::backend::local::{Places, Programs, ServerKind, ServerSet, StartError, default_root};
use crosscheck_harness::conform::{BrokerCases, Case, Limits, Topics, run};
use crosscheck_harness::model::broker::ModelBroker;
use crosscheck_harness::model::footprint::Footprints;
use crosscheck_harness::port::PortError;
use crosscheck_harness::system::kafka::{KafkaBroker, create_topic};

struct OfTheModel(ModelBroker);

#[async_trait]
impl Topics for OfTheModel {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        self.0.create_topic(topic, partitions)
    }
}

struct OfKafka(SocketAddr);

#[async_trait]
impl Topics for OfKafka {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        create_topic(self.0, topic, partitions).await
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/kafka");
    let files = Case::files(&folder).expect("the folder is there");
    files.iter().map(|file| Case::read(file).expect("each case can be read")).collect()
}

fn recording(case: &Case) -> PathBuf {
    let folder = case.path.parent().expect("a case lies in a folder");
    folder.join("expected").join(format!("{}.out", case.name))
}

async fn printed(case: &Case, mut on: BrokerCases) -> String {
    let limits = Limits { step: Duration::from_secs(60) };
    let transcript = run(case, &mut on, limits).await.expect("the broker is there");
    assert_eq!((transcript.stopped, transcript.complaints.len()), (None, 0), "{}", case.name);
    transcript.text
}

#[tokio::test(start_paused = true)]
async fn the_model_prints_what_is_recorded() {
    let cases = cases();
    assert!(cases.len() >= 12, "there are {} cases", cases.len());
    for case in cases {
        let model = ModelBroker::new(7, Footprints::default());
        let topics = Arc::new(OfTheModel(model.clone()));
        let text = printed(&case, BrokerCases::new(Arc::new(model), topics, "case")).await;
        let recorded = std::fs::read_to_string(recording(&case)).expect("each case has its recording");
        assert_eq!(text, recorded, "{}", case.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_kafka_prints_what_is_recorded() {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    let required = environment("CROSSCHECK_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|backend| backend.trim() == "local");
    let started = ServerSet::start(&[ServerKind::Kafka], &programs, &[], &default_root(&environment)).await;
    let set = match started {
        Err(StartError::Unavailable(missing)) if !required => {
            eprintln!("skipped: {missing}");
            return;
        }
        started => started.expect("Kafka starts"),
    };
    let addr = set.kafka().expect("the set was asked for it").addr();
    for case in cases() {
        let base = format!("case_{}_{}", std::process::id(), case.name);
        let on = BrokerCases::new(Arc::new(KafkaBroker::new(addr)), Arc::new(OfKafka(addr)), &base);
        let text = printed(&case, on).await;
        if environment("CROSSCHECK_RECORD").is_some() {
            let folder = recording(&case);
            std::fs::create_dir_all(folder.parent().expect("it lies in a folder")).expect("it can be made");
            std::fs::write(folder, &text).expect("it can be written");
        }
        let recorded = std::fs::read_to_string(recording(&case)).expect("each case has its recording");
        assert_eq!(text, recorded, "{}", case.name);
    }
}
