-- What a tenant may use. Requests are limited per key and per tenant, model tokens per tenant and period; both are data, so that an
-- operator changes them without a restart. NULL: what the configuration says.
CREATE TABLE tenant_quota (
    tenant_id         TEXT PRIMARY KEY REFERENCES tenant (tenant_id),
    key_per_minute    BIGINT CHECK (key_per_minute >= 0),
    tenant_per_minute BIGINT CHECK (tenant_per_minute >= 0),
    token_limit       BIGINT CHECK (token_limit >= 0),
    token_period      TEXT CHECK (token_period IN ('day', 'month'))
);

-- Tokens of a day (UTC) by provider and model. `reserved_tokens` are those of calls that run: taken before the call, given back when it is
-- settled. A process that dies in between leaves them taken, as the provider may have counted them.
CREATE TABLE token_use (
    tenant_id         TEXT NOT NULL REFERENCES tenant (tenant_id),
    day               TEXT NOT NULL,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    currency          TEXT NOT NULL,
    calls             BIGINT NOT NULL DEFAULT 0,
    prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    reserved_tokens   BIGINT NOT NULL DEFAULT 0,
    cost_micros       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, day, provider, model, currency)
);

-- Answers kept for repeats are removed by age.
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, claimed_at_us);

-- When a key's or a tenant's allowance is whole again (generic cell rate algorithm). Unlogged: it outlives a restart of the service and
-- holds for all replicas, and each request costs no flush to disk; after a crash of the database everybody starts afresh. `scope` is
-- 'tenant' or 'key:<id>'.
CREATE UNLOGGED TABLE rate_count (
    tenant_id   TEXT NOT NULL REFERENCES tenant (tenant_id),
    scope       TEXT NOT NULL,
    whole_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, scope)
);

ALTER TABLE tenant_quota ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_quota FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_quota USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE token_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE token_use FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON token_use USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE rate_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_count FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON rate_count USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
