-- What was asked and answered: kept for the one who asked, for as long as the tenant keeps answers, so that a follow-up can be understood,
-- a stream can go on where it broke off, and a person can say whether an answer helped. The audit trail holds hashes of it and no text.

-- `owner_id` is the person, or the key of a service; nobody else of the tenant sees it.
CREATE TABLE conversation (
    tenant_id       TEXT NOT NULL REFERENCES tenant (tenant_id),
    conversation_id TEXT NOT NULL,
    owner_id        TEXT NOT NULL,
    title           TEXT NOT NULL,
    turns           BIGINT NOT NULL,
    created_at_us   BIGINT NOT NULL,
    updated_at_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, conversation_id)
);
CREATE INDEX conversation_by_owner ON conversation (tenant_id, owner_id, conversation_id);

-- `understood`: the question as it stands alone. `body`: the answer object as it was sent, canonical JSON; null until it is there.
-- `problem`: why there is none, as the problem document that the stream ended with.
CREATE TABLE answer (
    tenant_id       TEXT NOT NULL REFERENCES tenant (tenant_id),
    answer_id       TEXT NOT NULL,
    owner_id        TEXT NOT NULL,
    conversation_id TEXT,
    turn            BIGINT,
    question        TEXT NOT NULL,
    understood      TEXT,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
    instance        TEXT NOT NULL,
    body            TEXT,
    body_sha256     TEXT,
    problem         TEXT,
    created_at_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, answer_id),
    UNIQUE (tenant_id, conversation_id, turn),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversation (tenant_id, conversation_id)
);
CREATE INDEX answer_by_owner ON answer (tenant_id, owner_id, answer_id);
CREATE INDEX answer_by_age ON answer (tenant_id, created_at_us);

-- One opinion per person and answer; a second one replaces the first.
CREATE TABLE answer_feedback (
    tenant_id     TEXT NOT NULL,
    answer_id     TEXT NOT NULL,
    owner_id      TEXT NOT NULL,
    helpful       BIGINT NOT NULL CHECK (helpful IN (0, 1)),
    reason        TEXT,
    comment       TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, answer_id, owner_id),
    FOREIGN KEY (tenant_id, answer_id) REFERENCES answer (tenant_id, answer_id)
);

ALTER TABLE conversation ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE answer ENABLE ROW LEVEL SECURITY;
ALTER TABLE answer FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON answer USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE answer_feedback ENABLE ROW LEVEL SECURITY;
ALTER TABLE answer_feedback FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON answer_feedback USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
