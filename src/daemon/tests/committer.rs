//! What the committer tells the gates before it has committed it.

use super::*;
use crate::checkpoint::Lineage;
use crate::cutover::Moment;
use crate::daemon::readings::Gatehouse;
use crate::daemon::stage::tests::plan_of_things;
use crate::pipeline::Origin;
use crate::plan::ProjectionId;
use crate::position::Position;

/// The position counts as durable before the letter is stored: a cutover must not pass between the two.
#[tokio::test]
async fn a_dead_letter_on_its_way_to_the_store_shuts_the_gate() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(dir.path()).expect("the store opens");
    let store = Arc::new(store);
    let lineage = Lineage {
        server_uuid: String::new(),
    };
    let checkpoint = Checkpoint::new(Position::default(), lineage, "");
    let plan = Arc::new(plan_of_things());
    let progress = Arc::new(Progress::new(Vec::new(), 1));
    let shared = Arc::new(Shared::new(
        Arc::clone(&plan),
        Arc::clone(&progress),
        &checkpoint,
        0,
    ));
    let gatehouse = Gatehouse::nowhere(Arc::clone(&shared));
    let is_open = async || {
        let gates = gatehouse.read(Moment::Before, false).await;
        let gate = gates.into_iter().find(|gate| gate.name == "dead_letters");
        gate.expect("the gate").open
    };
    let letters = Letters::new(plan);
    let mut committer = Committer::new(
        Arc::clone(&store),
        checkpoint,
        progress,
        letters.clone(),
        Arc::clone(&shared),
        None,
    );
    assert!(is_open().await);
    let origin = Origin {
        projection: ProjectionId(0),
        source_key: Arc::from("1"),
    };
    let letter = letters.letter(&origin, "no valid item");
    let put = DeadLetterChange::Put(letter);
    committer.letter(put).await.expect("taken");
    assert_eq!((store.dead_letter_count(), shared.dead_letters()), (0, 0));
    assert!(!is_open().await, "it is on its way");
    committer.commit().await.expect("committed");
    assert_eq!(
        (store.dead_letter_count(), shared.known_dead_letters()),
        (1, 1)
    );
    assert!(!is_open().await);
}
