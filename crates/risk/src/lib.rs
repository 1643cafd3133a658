//! Features, model files, score with reasons
