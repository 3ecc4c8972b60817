//! Java's date-time patterns.
