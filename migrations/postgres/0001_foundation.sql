-- Tenants, who may act in them, and the record of what they did. Everything else hangs on a tenant.
-- Types are the portable subset (see ARCHITECTURE.md): flags are BIGINT 0/1, times BIGINT microseconds UTC, JSON is canonical TEXT.

CREATE TABLE tenant (
    tenant_id     TEXT PRIMARY KEY,
    slug          TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    suspended     BIGINT NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    created_at_us BIGINT NOT NULL
);

CREATE TABLE app_user (
    tenant_id     TEXT NOT NULL REFERENCES tenant (tenant_id),
    user_id       TEXT NOT NULL,
    email         TEXT NOT NULL,
    name          TEXT NOT NULL,
    suspended     BIGINT NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    UNIQUE (tenant_id, email)
);

CREATE TABLE user_role (
    tenant_id TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    role      TEXT NOT NULL CHECK (role IN ('agent', 'reviewer', 'approver', 'admin', 'auditor')),
    PRIMARY KEY (tenant_id, user_id, role),
    FOREIGN KEY (tenant_id, user_id) REFERENCES app_user (tenant_id, user_id)
);

-- A key belongs to a person (user_id) or is a service key (user_id null, role 'integration'); a service can never approve.
CREATE TABLE api_key (
    tenant_id     TEXT NOT NULL REFERENCES tenant (tenant_id),
    key_id        TEXT NOT NULL,
    user_id       TEXT,
    name          TEXT NOT NULL,
    hint          TEXT NOT NULL,
    key_sha256    TEXT NOT NULL UNIQUE,
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT,
    revoked_at_us BIGINT,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES app_user (tenant_id, user_id)
);

-- The first answer given under an Idempotency-Key. `claim` fences a request that was overtaken while it ran.
CREATE TABLE idempotency (
    tenant_id      TEXT NOT NULL REFERENCES tenant (tenant_id),
    principal_id   TEXT NOT NULL,
    idem_key       TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    claim          TEXT NOT NULL,
    instance       TEXT NOT NULL,
    claimed_at_us  BIGINT NOT NULL,
    status         BIGINT,
    body           TEXT,
    PRIMARY KEY (tenant_id, principal_id, idem_key)
);

-- Append only; a hash chain per tenant over the exact bytes in `body`. The other columns repeat parts of it for searching,
-- and verification compares them.
CREATE TABLE audit_event (
    tenant_id TEXT NOT NULL REFERENCES tenant (tenant_id),
    seq       BIGINT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash      TEXT NOT NULL,
    at_us     BIGINT NOT NULL,
    actor_id  TEXT NOT NULL,
    action    TEXT NOT NULL,
    resource  TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, seq),
    UNIQUE (tenant_id, prev_hash)
);
CREATE INDEX audit_event_by_resource ON audit_event (tenant_id, resource, seq);

-- One row a tenant, locked by each append: a row that does not exist yet cannot be locked, so it comes with the tenant.
CREATE TABLE audit_head (
    tenant_id TEXT PRIMARY KEY REFERENCES tenant (tenant_id),
    seq       BIGINT NOT NULL,
    hash      TEXT NOT NULL
);

-- The second wall: row-level security, forced for the owner too. No tenant set, or the empty string that set_config leaves
-- behind after a transaction, is an error and never "all rows".
CREATE FUNCTION app_tenant() RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
DECLARE
    tenant TEXT := current_setting('app.tenant', true);
BEGIN
    IF tenant IS NULL OR tenant = '' THEN
        RAISE EXCEPTION 'no tenant is set for this transaction' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN tenant;
END
$$;

CREATE FUNCTION audit_event_append_only() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append only';
END
$$;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_append_only();

-- 'operator' is the platform's own scope: it sees the list of tenants and nothing inside one.
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant
    USING (tenant_id = app_tenant() OR app_tenant() = 'operator')
    WITH CHECK (tenant_id = app_tenant() OR app_tenant() = 'operator');

ALTER TABLE app_user ENABLE ROW LEVEL SECURITY;
ALTER TABLE app_user FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON app_user USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE user_role ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_role FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON user_role USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON api_key USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON idempotency USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_event USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_head FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_head USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
