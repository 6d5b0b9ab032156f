//! File patterns of a mapping: `*` within one path segment, `**` across segments, `?` one character.

/// Whether a relative path with `/` matches. Linear in the path for each `*`; no backtracking beyond the last star of
/// each sort, which suffices for file patterns.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < path.len() {
        if pattern.get(p) == Some(&"**") {
            retry = Some((p, s));
            p += 1;
        } else if pattern.get(p).is_some_and(|part| segment_matches(part, path[s])) {
            p += 1;
            s += 1;
        } else if let Some((star, from)) = retry {
            p = star + 1;
            s = from + 1;
            retry = Some((star, s));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|part| *part == "**")
}

fn segment_matches(pattern: &str, segment: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let segment: Vec<char> = segment.chars().collect();
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < segment.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, s));
                p += 1;
            }
            Some(c) if *c == '?' || *c == segment[s] => {
                p += 1;
                s += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                p = star + 1;
                s = from + 1;
                retry = Some((star, s));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stay_within_a_segment_and_double_stars_cross_them() {
        assert!(matches("orders.csv", "orders.csv"));
        assert!(matches("policies/*.md", "policies/refund.md"));
        assert!(!matches("policies/*.md", "policies/old/refund.md"));
        assert!(matches("policies/**/*.md", "policies/old/refund.md"));
        assert!(matches("policies/**/*.md", "policies/refund.md"));
        assert!(matches("**", "a/b/c"));
        assert!(matches("**/*.csv", "a/b/c.csv"));
        assert!(matches("po_?.csv", "po_1.csv"));
        assert!(!matches("*.csv", "orders.json"));
        assert!(!matches("orders.csv", "x/orders.csv"));
    }
}
