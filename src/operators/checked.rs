//! Checks every batch that an operator is given or emits against what the edges promise. Wrapped around operators in
//! debug builds.

use datafusion::arrow::datatypes::SchemaRef;

use crate::planner::encodings::taken;
use crate::planner::graph::{Encoding, OperatorKind, OperatorNode};
use crate::state::StateRow;
use crate::types::{ChangeBatch, EventTime, Op, Ops};

use super::{Capture, Operator, Output, Port, RestoreError, Round, Step, StreamTime};

/// An operator and the promises of its edges: shape of the batches, schema, encoding, stream time that never moves back.
///
/// # Panics
/// Every call panics if the operator broke a promise; the message names the operator and the promise.
#[derive(Debug)]
pub struct Checked {
    // fixed
    name: String,
    schema: SchemaRef,
    encoding: Encoding,
    kind: OperatorKind,
    /// What the input edges hold, port by port; empty if nobody has told.
    inputs: Vec<Encoding>,
    // changing
    inner: Box<dyn Operator>,
    stream_time: StreamTime,
}

impl Checked {
    /// Wraps the operator that runs `node`.
    pub fn new(node: &OperatorNode, inner: Box<dyn Operator>) -> Self {
        Self {
            name: node.name.clone(),
            schema: node.schema.arrow(),
            encoding: node.encoding,
            kind: node.kind.clone(),
            inputs: Vec::new(),
            inner,
            stream_time: EventTime(i64::MIN),
        }
    }

    /// The operator takes batches of these encodings, port by port.
    ///
    /// # Panics
    /// If it does not take one of them.
    #[must_use]
    pub fn taking(mut self, inputs: &[Encoding]) -> Self {
        for (port, input) in inputs.iter().enumerate() {
            let taken = taken(&self.kind, port);
            assert!(taken.contains(input), "operator {}: takes {taken:?} on port {port}, not {input:?}", self.name);
        }
        self.inputs = inputs.to_vec();
        self
    }

    fn check_input(&self, port: Port, input: &ChangeBatch) {
        let Some(encoding) = self.inputs.get(port.0) else { return };
        if let Err(reason) = input.check().and_then(|()| only_of(*encoding, input)) {
            panic!("operator {}: was given on port {}: {reason}", self.name, port.0);
        }
    }

    fn check(&self, out: &Output) {
        for batch in &out.batches {
            if let Err(reason) = self.broken_promise(batch) {
                panic!("operator {}: {reason}", self.name);
            }
        }
    }

    fn check_ranks(&self, ranked: bool, out: &Output) {
        let has_lost = out.batches.iter().any(|batch| batch.meta.rank.is_none());
        assert!(!(ranked && has_lost && self.inner.keeps_ranks()), "operator {}: lost the ranks of rows", self.name);
    }

    fn broken_promise(&self, batch: &ChangeBatch) -> Result<(), String> {
        if batch.is_empty() {
            return Err("emitted an empty batch".to_owned());
        }
        batch.check()?;
        let schema = batch.rows.schema();
        if schema.fields() != self.schema.fields() {
            return Err(format!("the edge has columns {:?}, the batch {:?}", self.schema.fields(), schema.fields()));
        }
        only_of(self.encoding, batch)
    }
}

/// Finds an operation that an edge of this encoding does not hold.
fn only_of(encoding: Encoding, batch: &ChangeBatch) -> Result<(), String> {
    if let Ops::Each(ops) = &batch.ops
        && let Some(op) = ops.iter().find(|op| !may_hold(encoding, **op))
    {
        return Err(format!("{op:?} on an edge of encoding {encoding:?}"));
    }
    Ok(())
}

fn may_hold(encoding: Encoding, op: Op) -> bool {
    match encoding {
        Encoding::Append => op == Op::Insert,
        Encoding::Upsert => matches!(op, Op::Insert | Op::Delete),
        Encoding::Changelog => true,
    }
}

impl Operator for Checked {
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        self.check_input(port, &input);
        let ranked = input.meta.rank.is_some();
        let step = self.inner.on_changes(port, input, out);
        self.check(out);
        self.check_ranks(ranked, out);
        step
    }

    fn takes_rounds(&self) -> bool {
        self.inner.takes_rounds()
    }

    fn on_round(&mut self, round: Round, out: &mut Output) -> Step {
        let rows = round.inputs.iter().map(ChangeBatch::len).sum::<usize>();
        let mut entries = round.order.clone();
        entries.sort_unstable();
        assert!(entries.into_iter().eq(0..rows as u32), "operator {}: was given a round of other rows", self.name);
        for (port, input) in round.inputs.iter().enumerate() {
            self.check_input(Port(port), input);
        }
        let ranked = round.inputs.iter().all(|input| input.meta.rank.is_some());
        let step = self.inner.on_round(round, out);
        self.check(out);
        self.check_ranks(ranked, out);
        step
    }

    fn keeps_ranks(&self) -> bool {
        self.inner.keeps_ranks()
    }

    fn resume(&mut self, out: &mut Output) -> Step {
        let step = self.inner.resume(out);
        self.check(out);
        step
    }

    fn on_stream_time(&mut self, now: StreamTime, out: &mut Output) -> Step {
        assert!(now >= self.stream_time, "operator {}: stream time went back to {now}", self.name);
        self.stream_time = now;
        let step = self.inner.on_stream_time(now, out);
        self.check(out);
        step
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        self.inner.on_barrier(capture);
    }

    fn flush(&mut self, out: &mut Output) -> Step {
        let step = self.inner.flush(out);
        self.check(out);
        step
    }

    fn is_stateful(&self) -> bool {
        self.inner.is_stateful()
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        self.inner.restore(rows)
    }

    fn state_bytes(&self) -> usize {
        self.inner.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, may_hold};
    use crate::expressions::{EdgeColumn, EdgeSchema};
    use crate::operators::batch_text::batch;
    use crate::operators::{Operator, Output, Port, Step};
    use crate::planner::graph::{Encoding, OperatorKind, OperatorNode};
    use crate::types::{ChangeBatch, Op, SqlType};

    /// Emits what it is given.
    #[derive(Debug)]
    struct Echo;

    impl Operator for Echo {
        fn on_changes(&mut self, _: Port, input: ChangeBatch, out: &mut Output) -> Step {
            out.batches.push(input);
            Step::Done
        }
    }

    /// Sends changes over an edge; the answer is the broken promise.
    fn check(encoding: Encoding, input: &str) -> Result<(), String> {
        let schema = EdgeSchema::new(vec![
            EdgeColumn { name: "K".into(), ty: SqlType::String },
            EdgeColumn { name: "V".into(), ty: SqlType::BigInt },
        ]);
        let node =
            OperatorNode { name: "echo".to_owned(), kind: OperatorKind::Project { columns: vec![] }, schema, encoding };
        Checked::new(&node, Box::new(Echo)).broken_promise(&batch(input))
    }

    #[test]
    fn an_edge_holds_only_the_operations_of_its_encoding() {
        assert_eq!(check(Encoding::Append, "+ a 1 @1"), Ok(()));
        assert!(check(Encoding::Append, "- a 1 @1").is_err());
        assert_eq!(check(Encoding::Upsert, "+ a 1 @1; - a 1 @2"), Ok(()));
        assert!(check(Encoding::Upsert, "-u a 1 @1; +u a 2 @1").is_err());
        assert_eq!(check(Encoding::Changelog, "-u a 1 @1; +u a 2 @1"), Ok(()));
        assert!(may_hold(Encoding::Changelog, Op::Delete));
    }

    #[test]
    fn half_an_update_is_refused() {
        assert!(check(Encoding::Changelog, "-u a 1 @1").is_err());
        assert!(check(Encoding::Changelog, "+ a 1 @1; +u a 2 @1").is_err());
    }

    #[test]
    #[should_panic(expected = "was given on port 0: Delete on an edge of encoding Append")]
    fn what_comes_in_keeps_to_its_encoding_too() {
        let node = OperatorNode {
            name: "echo".to_owned(),
            kind: OperatorKind::Project { columns: vec![] },
            schema: EdgeSchema::default(),
            encoding: Encoding::Append,
        };
        let mut checked = Checked::new(&node, Box::new(Echo)).taking(&[Encoding::Append]);
        checked.on_changes(Port(0), batch("- a 1 @1"), &mut Output::default());
    }

    #[test]
    #[should_panic(expected = "takes [Append, Changelog] on port 0, not Upsert")]
    fn an_operator_is_given_no_other_encoding_than_it_takes() {
        let node = OperatorNode {
            name: "guard".to_owned(),
            kind: OperatorKind::RequireKey { key: vec![] },
            schema: EdgeSchema::default(),
            encoding: Encoding::Upsert,
        };
        let _ = Checked::new(&node, Box::new(Echo)).taking(&[Encoding::Upsert]);
    }

    #[test]
    #[should_panic(expected = "stream time went back")]
    fn stream_time_never_moves_back() {
        let node = OperatorNode {
            name: "echo".to_owned(),
            kind: OperatorKind::Project { columns: vec![] },
            schema: EdgeSchema::default(),
            encoding: Encoding::Append,
        };
        let mut checked = Checked::new(&node, Box::new(Echo));
        let mut out = Output::default();
        checked.on_stream_time(crate::types::EventTime(5), &mut out);
        checked.on_stream_time(crate::types::EventTime(4), &mut out);
    }
}
