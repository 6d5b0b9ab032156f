//! Checks a server-sent event stream line by line before the client library sees it.
//!
//! The library logs an event that it cannot parse, text and all, and puts no bound on an event's size. So each `data:` line
//! is checked here: anything that is not JSON, a line or stream that is too long, or a connection that breaks becomes one
//! error event with a mark of ours, which ends the stream. Knows nothing of chat.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::de::IgnoredAny;

pub(super) const MARK_MALFORMED: &str = "countersign_malformed";
pub(super) const MARK_TOO_LARGE: &str = "countersign_too_large";
pub(super) const MARK_BROKEN: &str = "countersign_broken";

fn mark(code: &str) -> Bytes {
    Bytes::from(format!("\n\ndata: {{\"error\":{{\"code\":\"{code}\"}}}}\n\n"))
}

struct Lines<S> {
    body: S,
    partial: BytesMut,
    read_bytes: usize,
    max_bytes: usize,
    ended: bool,
}

/// Passes whole lines on; at most `max_bytes` in all.
pub(super) fn checked<S, E>(body: S, max_bytes: usize) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let lines = Lines { body, partial: BytesMut::new(), read_bytes: 0, max_bytes, ended: false };
    futures::stream::unfold(lines, |mut lines| async move {
        let bytes = lines.next().await?;
        Some((Ok(bytes), lines))
    })
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// The next whole lines, a mark, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let Some(arrived) = self.body.next().await else {
                // A rest without a line end is half an event: dropped, the missing finish says the answer was cut.
                self.ended = true;
                return None;
            };
            let Ok(arrived) = arrived else { return self.end_with(MARK_BROKEN) };
            self.read_bytes += arrived.len();
            if self.read_bytes > self.max_bytes {
                return self.end_with(MARK_TOO_LARGE);
            }
            self.partial.extend_from_slice(&arrived);
            let Some(last_end) = arrived.iter().rposition(|&byte| byte == b'\n') else { continue };
            let whole = self.partial.len() - arrived.len() + last_end + 1;
            let lines = self.partial.split_to(whole).freeze();
            if lines.split(|&byte| byte == b'\n').all(acceptable) {
                return Some(lines);
            }
            return self.end_with(MARK_MALFORMED);
        }
        None
    }

    fn end_with(&mut self, code: &str) -> Option<Bytes> {
        self.ended = true;
        Some(mark(code))
    }
}

fn acceptable(line: &[u8]) -> bool {
    let Some(content) = line.strip_prefix(b"data:") else { return true };
    let content = content.trim_ascii();
    content == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(content).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(parts: &[&str], max_bytes: usize) -> String {
        let parts: Vec<Result<Bytes, std::io::Error>> =
            parts.iter().map(|part| Ok(Bytes::from(part.to_string()))).collect();
        let out: Vec<_> = checked(futures::stream::iter(parts), max_bytes).collect().await;
        out.into_iter().map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn whole_lines_pass_however_they_were_cut_into_packets() {
        let out = run(&["data: {\"a\"", ":1}\n\ndata: {\"b\":2}\n", "\ndata: [DONE]\r\n\n"], 1000).await;
        assert_eq!(out, "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\r\n\n");
    }

    #[tokio::test]
    async fn a_line_that_is_not_json_ends_the_stream_without_its_text() {
        let out = run(&["data: {\"a\": \"secret\n\n", "data: {}\n\n"], 1000).await;
        assert!(out.contains(MARK_MALFORMED) && !out.contains("secret"), "{out}");
    }

    #[tokio::test]
    async fn too_many_bytes_end_the_stream() {
        let out = run(&["data: {}\n\n", "data: \"aaaaaaaaaaaaaaaaaaaaaaaaa"], 20).await;
        assert!(out.starts_with("data: {}\n\n") && out.contains(MARK_TOO_LARGE), "{out}");
    }

    #[tokio::test]
    async fn half_a_line_at_the_end_is_dropped() {
        assert_eq!(run(&["data: {}\n\ndata: {\"cho"], 1000).await, "data: {}\n\n");
    }
}
