//! The cases of the broker (`harness/conformance/kafka/`): what the model prints is what is recorded beside them. That
//! a real Kafka prints it too is held by the tests of conformance.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::conform::{BrokerCases, Case, Limits, Topics, run};
use crosscheck_harness::model::broker::ModelBroker;
use crosscheck_harness::model::footprint::Footprints;
use crosscheck_harness::port::PortError;

struct OfTheModel(ModelBroker);

#[async_trait]
impl Topics for OfTheModel {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        self.0.create_topic(topic, partitions)
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
