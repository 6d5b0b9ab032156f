-- Exceptions: what deterministic rules noticed in the records, how far each is, and what is left to look at.
-- Written here because detection works like indexing: the transaction that stores a version also says that somebody has to look.

-- Records to look at. `changed`: a new version came in; `rules`: which rules to run (a bit each), because something linked changed.
CREATE TABLE detect_work (
    tenant_id    TEXT NOT NULL REFERENCES tenant (tenant_id),
    record_id    TEXT NOT NULL,
    changed      BIGINT NOT NULL CHECK (changed IN (0, 1)),
    rules        BIGINT NOT NULL,
    queued_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX detect_work_by_age ON detect_work (tenant_id, changed, queued_at_us);

-- What is kept of each live record for finding others quickly, and when time alone can change the verdict on it.
CREATE TABLE detect_state (
    tenant_id   TEXT NOT NULL,
    record_id   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    external_id TEXT NOT NULL,
    number      TEXT,
    version     BIGINT NOT NULL,
    seen_at_us  BIGINT NOT NULL,
    audience    TEXT NOT NULL,
    is_open     BIGINT NOT NULL CHECK (is_open IN (0, 1)),
    own_day     BIGINT,
    match_key   TEXT,
    due_at_us   BIGINT,
    PRIMARY KEY (tenant_id, record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX detect_state_by_id ON detect_state (tenant_id, kind, external_id);
CREATE INDEX detect_state_by_number ON detect_state (tenant_id, kind, number) WHERE number IS NOT NULL;
CREATE INDEX detect_state_by_key ON detect_state (tenant_id, match_key) WHERE match_key IS NOT NULL;
CREATE INDEX detect_state_due ON detect_state (tenant_id, due_at_us) WHERE due_at_us IS NOT NULL;

-- Limits, severities and own rules, every version; the newest one is in force.
CREATE TABLE detect_setting (
    tenant_id  TEXT NOT NULL REFERENCES tenant (tenant_id),
    version    BIGINT NOT NULL,
    body       TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    set_at_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

-- One row per record and kind, for good: it opens, closes and opens again. `present`: whether the cause is there now.
CREATE TABLE exception (
    tenant_id           TEXT NOT NULL,
    exception_id        TEXT NOT NULL,
    record_id           TEXT NOT NULL,
    kind                TEXT NOT NULL,
    domain              TEXT NOT NULL,
    subject_kind        TEXT NOT NULL,
    subject_external_id TEXT NOT NULL,
    severity            BIGINT NOT NULL CHECK (severity BETWEEN 0 AND 3),
    score               BIGINT NOT NULL,
    amount              BIGINT,
    currency            TEXT,
    facts               TEXT NOT NULL,
    involved            TEXT NOT NULL,
    facts_sha256        TEXT NOT NULL,
    cause_what          TEXT,
    cause_id            TEXT,
    group_id            TEXT,
    audience            TEXT NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('open', 'waiting', 'drafted', 'in_review', 'resolved', 'dismissed')),
    detail              TEXT NOT NULL,
    present             BIGINT NOT NULL CHECK (present IN (0, 1)),
    owner_id            TEXT,
    ticket              TEXT,
    first_seen_us       BIGINT NOT NULL,
    opened_at_us        BIGINT NOT NULL,
    last_seen_us        BIGINT NOT NULL,
    reopened            BIGINT NOT NULL DEFAULT 0,
    due_at_us           BIGINT NOT NULL,
    escalated_at_us     BIGINT,
    wake_at_us          BIGINT,
    PRIMARY KEY (tenant_id, exception_id),
    UNIQUE (tenant_id, record_id, kind),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES app_user (tenant_id, user_id),
    CHECK ((amount IS NULL) = (currency IS NULL)),
    CHECK ((state = 'waiting') = (wake_at_us IS NOT NULL)),
    CHECK (state <> 'resolved' OR present = 0)
);
CREATE INDEX exception_by_score ON exception (tenant_id, state, score, exception_id);
CREATE INDEX exception_by_group ON exception (tenant_id, group_id) WHERE group_id IS NOT NULL;
CREATE INDEX exception_by_due ON exception (tenant_id, due_at_us) WHERE escalated_at_us IS NULL AND state IN ('open', 'waiting', 'drafted', 'in_review');
CREATE INDEX exception_to_wake ON exception (tenant_id, wake_at_us) WHERE wake_at_us IS NOT NULL;

-- What is stored already has to be looked at too. The owner is bound by row security as everybody is, so it is lifted for this statement,
-- inside the migration's transaction.
ALTER TABLE record NO FORCE ROW LEVEL SECURITY;
INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us)
    SELECT tenant_id, record_id, 1, 0, 0 FROM record WHERE deleted_at_us IS NULL;
ALTER TABLE record FORCE ROW LEVEL SECURITY;

ALTER TABLE detect_work ENABLE ROW LEVEL SECURITY;
ALTER TABLE detect_work FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON detect_work USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE detect_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE detect_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON detect_state USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE detect_setting ENABLE ROW LEVEL SECURITY;
ALTER TABLE detect_setting FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON detect_setting USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE exception ENABLE ROW LEVEL SECURITY;
ALTER TABLE exception FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON exception USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
