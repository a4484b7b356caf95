//! Who goes on when, and for how long a word stands.

use tokio::task::{JoinSet, yield_now};

use super::*;

#[tokio::test]
async fn those_who_wait_go_on_in_the_order_in_which_they_came() {
    let (ledger, _bookkeeper) = Ledger::open(None);
    let queue = Queue::new(ledger, 1024);
    let order = Arc::new(Mutex::new(Vec::new()));
    let target: Target = "a.test:443".parse().unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (queue, order, target) = (Arc::clone(&queue), Arc::clone(&order), target.clone());
        tasks.spawn(async move {
            let (door, asking) = (Door::Connect, Asking::default());
            let answer = queue.ask(&target, door, asking, Offers::default).await;
            assert!(matches!(answer, Answer::Once), "{answer:?}");
            order.lock().unwrap().push(number);
        });
        yield_now().await;
    }
    let (verdict, scope) = (Verdict::Allow, Scope::Once);
    let id = queue.lock().entries[&target].id.clone();
    let claimed = queue.claim(&id, verdict, scope, "uid:1").unwrap();
    assert_eq!(
        queue.release(claimed, &Answer::Once, verdict, scope, "uid:1"),
        20
    );
    tasks.join_all().await;
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_denial_stands_for_what_is_tried_again_and_then_it_is_asked_about_anew() {
    let (ledger, _bookkeeper) = Ledger::open(None);
    let queue = Queue::new(ledger, 1024);
    let target: Target = "a.test:443".parse().unwrap();
    let now = Instant::now();
    let denied = Answer::Denied { reason: None };
    let mut state = queue.lock();
    state
        .standing
        .insert(target.clone(), (now + RETRIES, denied));
    for _ in 0..3 {
        let answer = state.standing_answer(&target, now + RETRIES / 2);
        assert!(matches!(answer, Some(Answer::Denied { .. })), "{answer:?}");
    }
    assert!(state.standing_answer(&target, now + RETRIES).is_none());
    state
        .standing
        .insert(target.clone(), (now + RETRIES, Answer::Once));
    assert!(state.standing_answer(&target, now).is_some());
    assert!(state.standing_answer(&target, now).is_none(), "once");
}
