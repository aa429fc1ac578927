//! The store contract on the store in memory that the simulation runs on.

use super::store::store_contract;
use crate::simulation::MemoryStore;

#[tokio::test]
async fn the_store_of_the_simulation_keeps_the_contract() {
    let store = MemoryStore::default();
    store_contract(&store, &store, &[]).await;
}
