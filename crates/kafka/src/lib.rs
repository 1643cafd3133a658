//! Records in, requests and dead letters out, rebalances
