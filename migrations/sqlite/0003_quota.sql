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

-- Used on PostgreSQL only, where several replicas share it: one process counts in memory. Here so that both engines have the same tables.
CREATE TABLE rate_count (
    tenant_id   TEXT NOT NULL REFERENCES tenant (tenant_id),
    scope       TEXT NOT NULL,
    whole_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, scope)
);
