//! `thalweg consume`: records of a topic as JSON lines on standard output.

use std::io::Write as _;

use super::arguments::ConsumeArguments;
use super::{Ended, locate};

/// Prints records until the limit or Ctrl-C.
pub(super) async fn run(args: &ConsumeArguments) -> Result<(), Ended> {
    let from = if args.from_beginning { "earliest" } else { "latest" };
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let client = locate::server(args.server.as_deref());
    let mut lines = client.records(&args.topic, &format!("from={from}&follow=true{limit}")).await?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(line) = line? else { return Ok(()) };
                let mut out = std::io::stdout().lock();
                // Whoever reads us has enough: a closed pipe is a normal end.
                if out.write_all(&line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
                    return Ok(());
                }
            }
            _ = &mut interrupted => return Ok(()),
        }
    }
}
