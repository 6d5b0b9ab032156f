-- Signed webhooks to the outside: who hears of exceptions, and what is still to be sent. A delivery is written in the transaction of the
-- change it tells of; its id is the message's id for good, so that a receiver can tell a repetition.

CREATE TABLE webhook_endpoint (
    tenant_id       TEXT NOT NULL REFERENCES tenant (tenant_id),
    endpoint_id     TEXT NOT NULL,
    url             TEXT NOT NULL,
    secret          TEXT NOT NULL,
    events          TEXT NOT NULL,
    created_at_us   BIGINT NOT NULL,
    failing_from_us BIGINT,
    disabled_at_us  BIGINT,
    disabled_reason TEXT,
    PRIMARY KEY (tenant_id, endpoint_id)
);

CREATE TABLE webhook_delivery (
    tenant_id     TEXT NOT NULL,
    delivery_id   TEXT NOT NULL,
    endpoint_id   TEXT NOT NULL,
    event         TEXT NOT NULL,
    body          TEXT NOT NULL,
    queued_at_us  BIGINT NOT NULL,
    attempts      BIGINT NOT NULL DEFAULT 0,
    next_at_us    BIGINT,
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    last_status   BIGINT,
    last_error    TEXT,
    PRIMARY KEY (tenant_id, delivery_id),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint (tenant_id, endpoint_id),
    CHECK ((state = 'waiting') = (next_at_us IS NOT NULL))
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (tenant_id, next_at_us) WHERE next_at_us IS NOT NULL;
CREATE INDEX webhook_delivery_by_endpoint ON webhook_delivery (tenant_id, endpoint_id, delivery_id);

ALTER TABLE webhook_endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON webhook_endpoint USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE webhook_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON webhook_delivery USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
