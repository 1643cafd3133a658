//! Files and environment to checked settings
