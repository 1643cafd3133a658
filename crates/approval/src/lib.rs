//! Approval requests, derived from the ledger row alone
