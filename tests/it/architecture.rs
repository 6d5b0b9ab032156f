//! Arrows point back: what may import what, read from the sources themselves.

use std::path::{Path, PathBuf};

/// Modules of `src/` in flow order; one may use those before it, and itself. A group is a set of neighbours that ignore each other.
const FLOW: &[&[&str]] = &[
    &["canonical", "clock", "ids", "secret"],
    &["config", "net", "redact", "store"],
    &["telemetry"],
    &["audit"],
    &["quota"],
    &["access"],
    &["webhook"],
    &["vector", "llm"],
    &["embed"],
    &["ladder"],
    &["document"],
    &["record"],
    &["source"],
    &["index"],
    &["retrieve"],
    &["compute"],
    &["answer"],
    &["conversation"],
    &["detect"],
    &["demo"],
    &["app"],
    &["start"],
    &["http"],
    &["cli"],
];

/// Modules that may hold SQL: foundations and stages. Faces and neighbours call them.
const SQL: &[&str] = &[
    "store",
    "audit",
    "quota",
    "access",
    "document",
    "record",
    "source",
    "index",
    "retrieve",
    "compute",
    "answer",
    "conversation",
    "detect",
    "webhook",
];

/// Files outside these modules that may, and why.
const SQL_EXCEPTIONS: &[(&str, &str)] =
    &[("http/idempotency.rs", "stores the face's own answers, in the transaction of the stage")];

/// Statements that name no tenant, by a piece of their text, and why.
const WITHOUT_TENANT: &[(&str, &str)] = &[
    ("FROM tenant ORDER BY slug", "the operator's list of tenants"),
    ("INSERT INTO tenant (", "the tenant itself"),
    ("FROM _sqlx_migrations", "the schema's version"),
    ("FROM pg_roles", "the start-up check of the role"),
    ("SELECT current_user", "the role that serves"),
    ("set_config('app.tenant'", "what sets the tenant"),
    ("pg_advisory_xact_lock", "the tenant is in the lock's name"),
    ("SELECT 1", "the readiness probe"),
    ("GRANT ", "rights of the role that serves"),
    ("REVOKE ", "rights of the role that serves"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file of `src/`, as path below it and text without its unit tests.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&src).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_none_or(|stem| stem != "tests")
        {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            files.push((name, code));
        }
    }
    assert!(files.len() > 50, "the sources are where they are expected");
    files
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn position(module: &str) -> Option<usize> {
    FLOW.iter().position(|group| group.contains(&module))
}

/// Modules that a text names as `crate::<module>`, also in a group: `use crate::{document, record};`.
fn imports(text: &str) -> Vec<String> {
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let inside = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &text[at + "crate::".len()..];
        if inside {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut name) = (1, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 1 && (c.is_alphanumeric() || c == '_') {
                    name.push(c);
                } else if depth <= 1 && (c == ',' || c == ':' || c == '}' || depth == 0) {
                    found.push(std::mem::take(&mut name));
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found.retain(|name| position(name).is_some());
    found
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::audit::{self, Event};\nuse crate::{document, record::{self, find}, Foo};\ncrate::ids::RunId";
    assert_eq!(imports(text), ["audit", "document", "record", "ids"]);
}

#[test]
fn every_module_has_its_place_in_the_flow() {
    for (file, _) in sources() {
        let module = module_of(&file);
        assert!(["lib", "main"].contains(&module) || position(module).is_some(), "{file}: put {module} into FLOW");
    }
}

#[test]
fn no_arrow_points_forward() {
    let mut forward = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        let Some(here) = position(module) else { continue };
        for import in imports(&text) {
            if import != module && position(&import).is_some_and(|there| there >= here) {
                forward.push(format!("{file} imports crate::{import}"));
            }
        }
    }
    assert!(forward.is_empty(), "{forward:#?}");
}

#[test]
fn ingest_names_no_runtime_network_or_database() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "-p", "ingest", "-e", "normal", "--prefix", "none", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.starts_with("ingest "), "cargo tree works: {tree}");
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap();
        let forbidden =
            ["tokio", "sqlx", "reqwest", "qdrant", "hyper", "mio", "socket2"].iter().any(|bad| name.starts_with(bad));
        assert!(!forbidden && !name.starts_with("async-"), "ingest depends on {name}");
    }
}

#[test]
fn ingest_opens_no_file_socket_or_clock() {
    for entry in walkdir::WalkDir::new(root().join("ingest/src")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for bad in ["std::fs", "std::net", "SystemTime", "Instant::now", "Timestamp::now", "std::env", "async fn"] {
            assert!(!code.contains(bad), "{} uses {bad}", path.display());
        }
    }
}

#[test]
fn sql_stands_in_foundations_and_stages_only() {
    for (file, text) in sources() {
        let allowed = SQL.contains(&module_of(&file)) || SQL_EXCEPTIONS.iter().any(|(name, _)| *name == file);
        assert!(allowed || !(text.contains("sqlx::query") || text.contains("bulk::")), "{file} holds SQL");
    }
}

#[test]
fn the_raw_vector_engine_stays_in_its_module() {
    for (file, text) in sources() {
        assert!(
            file.starts_with("vector/") || !text.contains("qdrant_edge::"),
            "{file} uses the engine past VectorStore"
        );
    }
}

#[test]
fn every_statement_names_the_tenant() {
    let verbs = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "GRANT ", "REVOKE "];
    let mut statements = 0;
    for (file, text) in sources() {
        if !SQL.contains(&module_of(&file)) && !SQL_EXCEPTIONS.iter().any(|(name, _)| *name == file) {
            continue;
        }
        for literal in string_literals(&text) {
            if !verbs.iter().any(|verb| literal.starts_with(verb)) {
                continue;
            }
            statements += 1;
            let listed = WITHOUT_TENANT.iter().any(|(piece, _)| literal.contains(piece));
            assert!(literal.contains("tenant_id") || listed, "{file}: no tenant in {literal:?}");
        }
    }
    assert!(statements > 60, "only {statements} statements were found");
}

/// Plain string literals, with line continuations joined.
fn string_literals(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // A character literal such as '"'.
            let mut ahead = chars.clone();
            let quoted = ahead.next() == Some('"') && ahead.next() == Some('\'');
            if quoted {
                chars.nth(1);
            }
        }
        if c != '"' {
            continue;
        }
        let mut literal = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                    Some(escaped) => literal.push(escaped),
                    None => break,
                },
                c => literal.push(c),
            }
        }
        found.push(literal);
    }
    found
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> Vec<String> {
        let folder = Path::new(&root()).join("migrations").join(engine);
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
