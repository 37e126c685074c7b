//! Real containers: start, ping, kill, pause, restart on another port, a cut network, and that nothing is left.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crosscheck_harness::backend::Backend;
use crosscheck_harness::backend::docker::{
    Advertised, Container, ContainerSet, DockerBackend, Engine, EngineState, ImageKind, Images, has_runs,
    sweep,
};
use crosscheck_harness::design::{Layout, Needs, Role};
use crosscheck_harness::schedule::FaultOn;

const SOON: Duration = Duration::from_secs(20);
const CHILD: &str = "CROSSCHECK_TEST_CONTAINER_OWNER";

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The engine with the images that are needed, or none after a line that says why the test is skipped.
async fn engine_with(kinds: &[ImageKind]) -> Option<(Engine, Images)> {
    let images = Images::from(&env);
    let missing = match Engine::find(&env).await {
        Ok(engine) => {
            let mut missing = Vec::new();
            for kind in kinds {
                if engine.image(*kind, &images).await.expect("the engine answers").is_none() {
                    missing.push(format!("no image for {kind}; {}", images.advice(*kind)));
                }
            }
            if missing.is_empty() {
                return Some((engine, images));
            }
            missing.join("; ")
        }
        Err(state) => format!("{state:?}"),
    };
    let required = env("CROSSCHECK_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word == "docker"), "docker is required: {missing}");
    println!("skipped: {missing}");
    None
}

async fn start(kinds: &[ImageKind], root: &Path) -> Option<(ContainerSet, Engine)> {
    let (engine, images) = engine_with(kinds).await?;
    let begun = Instant::now();
    let set = ContainerSet::start(kinds, &Advertised::new(), &engine, &images, root).await;
    let set = set.unwrap_or_else(|error| panic!("{error}"));
    println!("{kinds:?} ready after {} ms", begun.elapsed().as_millis());
    Some((set, engine))
}

fn of(set: &ContainerSet, kind: ImageKind) -> &Container {
    set.container(kind).expect("it was wanted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_killed_stopped_and_started_again_on_another_port() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((set, _)) = start(&[ImageKind::Redis], root.path()).await else { return };
    let redis = of(&set, ImageKind::Redis);
    let before = redis.addr().expect("it is published");
    assert!(before.ip().is_loopback());
    redis.ping(SOON).await.expect("it answers");

    redis.kill().await.expect("it dies");
    redis.ping(SOON).await.expect_err("it is dead");
    redis.kill().await.expect_err("it is dead already");
    redis.start().await.expect("it starts again");
    redis.ping(SOON).await.expect("it answers again");
    let after = redis.addr().expect("it is published again");
    assert_ne!(before, after, "Docker publishes another port at each start");

    redis.stop().await.expect("it ends");
    redis.ping(SOON).await.expect_err("it has ended");
    redis.start().await.expect("it starts again");
    redis.ping(SOON).await.expect("it answers again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_container_stands_still_and_a_killed_one_need_not_be_resumed() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((set, _)) = start(&[ImageKind::Redis], root.path()).await else { return };
    let redis = of(&set, ImageKind::Redis);
    redis.pause().await.expect("it pauses");
    let still = redis.ping(Duration::from_millis(300)).await.expect_err("nothing answers");
    assert!(still.to_string().contains("no answer"), "{still}");
    redis.resume().await.expect("it goes on");
    redis.ping(SOON).await.expect("it answers");
    redis.resume().await.expect_err("it is not paused");
    redis.pause().await.expect("it pauses again");
    redis.kill().await.expect("it dies");
    redis.start().await.expect("it starts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_the_network_between_servers_leaves_their_clients_alone() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((set, _)) = start(&[ImageKind::Redis, ImageKind::Postgres], root.path()).await else { return };
    let (redis, postgres) = (of(&set, ImageKind::Redis), of(&set, ImageKind::Postgres));
    let link = set.link().await.expect("there is a network");
    link.connect(redis, "redis").await.expect("it is connected");
    link.connect(postgres, "postgres").await.expect("it is connected");
    let reaches = || link.reaches(redis, "postgres", 5432);
    assert!(reaches().await.expect("it tries"));
    link.disconnect(postgres).await.expect("it is cut off");
    assert!(!reaches().await.expect("it tries"));
    postgres.ping(SOON).await.expect("its clients still reach it");
    link.connect(postgres, "postgres").await.expect("it is connected again");
    assert!(reaches().await.expect("it tries"));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_servers_take_and_heal_through_the_same_links() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((engine, images)) = engine_with(&[ImageKind::Postgres]).await else { return };
    let needs = Needs { db: true, ..Needs::default() };
    let backend = DockerBackend::start(needs, &engine, &images, root.path()).await;
    let backend = backend.unwrap_or_else(|error| panic!("{error}"));
    let layout = Layout { ddl: Vec::new(), ..Layout::default() };
    let arena = backend.open(needs, &layout, "faults").await.expect("an arena");
    let client = arena.links[&Role::Client].database.clone().expect("a link to the database");
    let mut connection = client.connect().await.expect("it connects");
    connection.execute("CREATE TABLE kept (a int)", &[]).await.expect("it is made");
    for fault in ["db-crash", "db-restart", "db-pause", "db-cut", "db-sync-wait"] {
        let on = FaultOn::new(fault, None);
        arena.injector.inject(&on).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        if fault != "db-sync-wait" {
            let query = async { client.connect().await?.query("SELECT a FROM kept", &[]).await };
            let answer = tokio::time::timeout(Duration::from_millis(500), query).await;
            assert!(!matches!(answer, Ok(Ok(_))), "{fault} did not take");
        }
        arena.injector.heal(&on).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        let mut again = client.connect().await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        again.query("SELECT a FROM kept", &[]).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
    }
    let logs = backend.logs();
    let log = std::fs::read_to_string(&logs[0].1).expect("the log is kept");
    assert!(log.contains("ready to accept connections"), "{log}");
    arena.closer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_nowhere_is_missing_and_nothing_is_left() {
    let Some((engine, _)) = engine_with(&[]).await else { return };
    let root = tempfile::tempdir().expect("a directory");
    let name = "127.0.0.1:1/nobody/has-this:1";
    let images = Images::from(&|variable| (variable == "CROSSCHECK_IMAGE_REDIS").then(|| name.to_owned()));
    let error =
        ContainerSet::start(&[ImageKind::Redis], &Advertised::new(), &engine, &images, root.path()).await;
    let error = error.expect_err("there is no such image").to_string();
    assert!(error.contains(name) && error.contains("cannot be pulled"), "{error}");
    assert!(error.contains("unset CROSSCHECK_IMAGE_REDIS"), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_or_does_not_answer_is_found_out_within_seconds() {
    let begun = Instant::now();
    let nowhere = |name: &str| (name == "DOCKER_HOST").then(|| "unix:///nowhere/docker.sock".to_owned());
    let state = Engine::find(&nowhere).await.expect_err("there is none");
    assert!(matches!(state, EngineState::NoSocket { .. }), "{state:?}");
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("docker.sock");
    let at = format!("unix://{}", socket.display());
    let there = |name: &str| (name == "DOCKER_HOST").then(|| at.clone());
    let silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let state = Engine::find(&there).await.expect_err("nobody reads what it is asked");
    assert!(matches!(state, EngineState::NoAnswer { .. }), "{state:?}");
    drop(silent);
    let state = Engine::find(&there).await.expect_err("nobody listens any more");
    assert!(matches!(state, EngineState::Refused { .. }), "{state:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// Not a test of its own: the owner that the next test kills.
#[tokio::test(flavor = "multi_thread")]
async fn owner_that_is_killed() {
    let Some(root) = env(CHILD) else { return };
    let (engine, images) = engine_with(&[ImageKind::Redis]).await.expect("the parent has looked");
    let set =
        ContainerSet::start(&[ImageKind::Redis], &Advertised::new(), &engine, &images, Path::new(&root))
            .await;
    let set = set.expect("it starts");
    set.link().await.expect("a network is made");
    println!("container {}", of(&set, ImageKind::Redis).id());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_owner_leaves_is_removed_at_the_next_start() {
    let Some((engine, _)) = engine_with(&[ImageKind::Redis]).await else { return };
    let root = tempfile::tempdir().expect("a directory");
    let mut owner = spawn_owner(root.path());
    let id = container_of(&mut owner);
    owner.kill().expect("it is killed");
    owner.wait().expect("it is dead");
    let removed = sweep(&engine).await.expect("the engine sweeps");
    let networks = removed.iter().filter(|name| name.starts_with("crosscheck-")).count();
    // Another test of this binary may have begun meanwhile, and swept first.
    assert!(removed.is_empty() || (removed.contains(&id) && networks == 1), "{removed:?}");
    assert!(sweep(&engine).await.expect("the engine sweeps").is_empty(), "it was all removed");
}

fn spawn_owner(root: &Path) -> Child {
    let program = std::env::current_exe().expect("we run");
    Command::new(program)
        .args(["owner_that_is_killed", "--exact", "--nocapture"])
        .env(CHILD, root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn container_of(owner: &mut Child) -> String {
    use std::io::{BufRead, BufReader};
    let out = owner.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let line = lines.find_map(|line| line.split_once("container ").map(|(_, id)| id.to_owned()));
    line.expect("it says which container it has")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_dropped_leaves_no_container() {
    let root = tempfile::tempdir().expect("a directory");
    let Some((set, engine)) = start(&[ImageKind::Redis], root.path()).await else { return };
    let redis = set.container(ImageKind::Redis).expect("it was wanted").clone();
    drop(set);
    redis.ping(SOON).await.expect("somebody still holds it");
    assert!(has_runs());
    drop(redis);
    assert_eq!(std::fs::read_dir(root.path()).expect("it is there").count(), 0, "the logs are gone");
    assert!(sweep(&engine).await.is_ok());
}
