//! Patterns against text made to provoke them: time grows with the text, not with its square (reliability 53).

use std::time::{Duration, Instant};

use countersign::answer::check::{check, forbidden};
use countersign::retrieve::when::day_in;

/// Fewest of three runs, so that a busy machine is not taken for a slow pattern.
fn took(work: &dyn Fn()) -> Duration {
    let once = || {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn eight_times_the_text_takes_no_more_than_some_eight_times_as_long() {
    let provocations = [
        "1", "12.", "2026-", "1st of ", "jan ", "](", "![", "http", "bearer a", "EUR 1,", "a'", "é", "<", "sk-a",
        "1.2.3-",
    ];
    for unit in provocations {
        for (name, work) in [
            (
                "day_in",
                &(|text: &str| {
                    let _ = day_in(text);
                }) as &dyn Fn(&str),
            ),
            ("forbidden", &|text: &str| {
                let _ = forbidden(text);
            }),
            // The citation check: a claim of ordinary length against evidence of any.
            ("check", &|text: &str| {
                let _ = check("Refunds above 100 EUR need approval.", &[text]);
            }),
        ] {
            let text = |bytes: usize| unit.repeat(bytes / unit.len());
            let (small, large) = (text(128 << 10), text(1 << 20));
            let (small, large) = (took(&|| work(&small)), took(&|| work(&large)));
            println!("{name} {unit:?}: 1 MiB in {large:?}");
            assert!(large <= small * 24 + Duration::from_millis(500), "{name} {unit:?}: {small:?}, then {large:?}");
        }
    }
}
