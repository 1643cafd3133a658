//! Tables, views, row encoding and the inserter
