//! Nouns that two crates share: the change event, ids, score, decision
