//! The tour of the README, run as it is written.

use super::bench::Bench;

const README: &str = include_str!("../../../README.md");

#[cfg(unix)]
#[test]
fn the_tour_of_the_readme_runs_as_written_and_cites_the_policy_and_the_record() {
    let bench = Bench::new();
    let blocks = README.split("```sh tour\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let script: String = blocks.collect();
    let output = bench.shell(&script);
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("orders.csv:4:Amount"), "{told}");
    assert!(told.contains("Order SO-1042 · total (order, shop, version 1)\n      Total: 84.00 EUR"), "{told}");
    assert!(told.contains("(policy POL-1, shop, version 1)"), "{told}");
    assert!(told.contains("needs the approval of a team lead"), "{told}");
    for follow_up in ["understood as: the total (SO-1042)?", "understood as: the total (SO-1043)?", "Total: 129.50 EUR"]
    {
        assert!(told.contains(follow_up), "{follow_up}: {told}");
    }
}

#[test]
fn every_file_the_readme_links_to_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(link.starts_with("http") || root.join(link).exists(), "{link}");
    }
}
