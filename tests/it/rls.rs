//! The second wall on PostgreSQL: row-level security on every table, for the serving role and for the owner (reliability 58).

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::harness::{Engine, TestApp};

/// Tables that hold no tenant's rows.
const WITHOUT_TENANT: [&str; 1] = ["_sqlx_migrations"];

async fn tables(connection: &mut AnyConnection) -> Vec<String> {
    let statement = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1";
    let rows = sqlx::query(statement).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).filter(|name: &String| !WITHOUT_TENANT.contains(&name.as_str())).collect()
}

async fn count(connection: &mut AnyConnection, statement: &str) -> sqlx::Result<i64> {
    sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_one(connection).await.map(|row| row.get(0))
}

async fn set_tenant(connection: &mut AnyConnection, tenant: &str) {
    sqlx::query("SELECT set_config('app.tenant', $1, false)")
        .bind(tenant.to_owned())
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_table_forces_row_security_with_a_policy_for_all_commands() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let mut connection = app.database.raw().await;
    let names = tables(&mut connection).await;
    assert!(names.len() >= 20, "{names:?}");
    for table in &names {
        let forced = format!(
            "SELECT count(*) FROM pg_class WHERE oid = '{table}'::regclass AND relrowsecurity AND relforcerowsecurity"
        );
        assert_eq!(count(&mut connection, &forced).await.unwrap(), 1, "{table}: no forced row security");
        let policies = format!(
            "SELECT count(*) FROM pg_policies WHERE schemaname = 'public' AND tablename = '{table}' AND cmd = 'ALL' \
             AND qual LIKE '%app_tenant()%' AND with_check LIKE '%app_tenant()%' AND permissive = 'PERMISSIVE'"
        );
        assert_eq!(count(&mut connection, &policies).await.unwrap(), 1, "{table}: not exactly one policy");
    }
    let all = "SELECT count(*) FROM pg_policies WHERE schemaname = 'public'";
    assert_eq!(count(&mut connection, all).await.unwrap(), names.len() as i64, "a second policy would be or-ed");
    // A view runs with its owner's eyes unless it says otherwise.
    let views = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' \
                 AND c.relkind IN ('v', 'm') AND NOT coalesce(c.reloptions::text LIKE '%security_invoker=true%', false)";
    assert_eq!(count(&mut connection, views).await.unwrap(), 0);
    let definers = "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND prosecdef";
    assert_eq!(
        count(&mut connection, definers).await.unwrap(),
        0,
        "a SECURITY DEFINER function walks past the policies"
    );
}

#[tokio::test]
async fn each_table_shows_a_tenants_rows_to_that_tenant_and_to_nobody_else() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    fill_removals(&app).await;
    let database = app.database.postgres().unwrap();
    for url in [database.app_url(), database.owner_url()] {
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        for table in tables(&mut connection).await {
            let all = format!("SELECT count(*) FROM {table}");
            // Never set on this connection, then left empty as an earlier transaction leaves it.
            let mut fresh = AnyConnection::connect(&url).await.unwrap();
            assert!(count(&mut fresh, &all).await.is_err(), "{table}: unset");
            set_tenant(&mut connection, "").await;
            assert!(count(&mut connection, &all).await.is_err(), "{table}: empty");
            set_tenant(&mut connection, &uuid::Uuid::from_u128(9).to_string()).await;
            assert_eq!(count(&mut connection, &all).await.unwrap(), 0, "{table}: wrong tenant");
            for tenant in [&app.a, &app.b] {
                set_tenant(&mut connection, &tenant.id().to_string()).await;
                let own = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{}'", tenant.id());
                let (seen, own) =
                    (count(&mut connection, &all).await.unwrap(), count(&mut connection, &own).await.unwrap());
                assert!(own > 0, "{table}: the seed has no row for it");
                assert_eq!(seen, own, "{table}");
            }
            // As A: B's rows cannot be changed, deleted or forged.
            set_tenant(&mut connection, &app.a.id().to_string()).await;
            let b = app.b.id();
            let change = format!("UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{b}'");
            if let Ok(done) = sqlx::query(AssertSqlSafe(change)).execute(&mut connection).await {
                assert_eq!(done.rows_affected(), 0, "{table}");
            }
            let move_over = format!("UPDATE {table} SET tenant_id = '{b}' WHERE tenant_id = '{}'", app.a.id());
            assert!(
                sqlx::query(AssertSqlSafe(move_over)).execute(&mut connection).await.is_err(),
                "{table}: moved to B"
            );
        }
        set_tenant(&mut connection, "operator").await;
        for table in tables(&mut connection).await {
            let seen = count(&mut connection, &format!("SELECT count(*) FROM {table}")).await.unwrap();
            assert_eq!(seen, if table == "tenant" { 2 } else { 0 }, "{table}: the operator's scope");
        }
    }
}

async fn fill_removals(app: &TestApp) {
    app.app.shutdown.cancel();
    for tenant in [&app.a, &app.b] {
        let mut tx = app.tx(tenant).await;
        sqlx::query("INSERT INTO index_removal (tenant_id, chunk_id) VALUES ($1, $2)")
            .bind(tx.tenant_text())
            .bind(uuid::Uuid::from_u128(5).to_string())
            .execute(tx.conn())
            .await
            .unwrap();
        for statement in [
            "INSERT INTO tenant_quota (tenant_id, token_limit) VALUES ($1, 5)",
            "INSERT INTO token_use (tenant_id, day, provider, model, currency) VALUES ($1, '2026-03-02', 'p', 'm', '')",
            "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
             SELECT tenant_id, record_id, 1, 0, 0 FROM record WHERE tenant_id = $1",
            "INSERT INTO detect_setting (tenant_id, version, body, actor_id, set_at_us) VALUES ($1, 1, '{}', 'test', 0)",
            "INSERT INTO webhook_delivery (tenant_id, delivery_id, endpoint_id, event, body, queued_at_us, state) \
             SELECT tenant_id, 'd', endpoint_id, 'exception.opened', '{}', 0, 'failed' FROM webhook_endpoint WHERE tenant_id = $1",
        ] {
            sqlx::query(statement).bind(tx.tenant_text()).execute(tx.conn()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_serving_role_cannot_rewrite_the_audit_or_the_schema() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let mut connection = AnyConnection::connect(&app.database.postgres().unwrap().app_url()).await.unwrap();
    set_tenant(&mut connection, &app.a.id().to_string()).await;
    for statement in [
        "UPDATE audit_event SET body = '{}'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "DROP TABLE audit_event",
        "ALTER TABLE app_user DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation ON app_user",
        "SET ROLE countersign_owner",
        "SET row_security = off; SELECT * FROM app_user",
        "DELETE FROM _sqlx_migrations",
        "CREATE TABLE mine (x TEXT)",
    ] {
        let done = sqlx::raw_sql(statement).execute(&mut connection).await;
        assert!(done.is_err(), "{statement}");
        let _ = sqlx::raw_sql("RESET row_security").execute(&mut connection).await;
    }
}

#[tokio::test]
async fn the_service_refuses_a_role_that_walks_past_row_security() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let mut options = app.options();
    options.url = app.database.postgres().unwrap().admin_url();
    let opened = countersign::store::Store::open(&options).await;
    assert!(matches!(opened, Err(countersign::store::StoreError::RoleBypassesRls)), "{opened:?}");
}
