//! The `thalweg` binary: reads arguments and settings, wires the rooms, calls one of them.

fn main() {}
