//! What a score means: allow, ask for approval, deny
