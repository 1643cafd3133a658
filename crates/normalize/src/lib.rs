//! Provider payload to change event, one module per source
