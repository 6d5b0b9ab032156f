-- What a tenant knows: sources, typed records with every version, documents with every version, and the chunks that the
-- vector index holds. SQL is the truth; the index can be rebuilt from these tables.

CREATE TABLE source (
    tenant_id     TEXT NOT NULL REFERENCES tenant (tenant_id),
    source_id     TEXT NOT NULL,
    name          TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    synced_at_us  BIGINT,
    deleted_at_us BIGINT,
    PRIMARY KEY (tenant_id, source_id),
    UNIQUE (tenant_id, name)
);

-- One pass over a source. A complete pass tombstones what it did not see.
CREATE TABLE ingest_run (
    tenant_id      TEXT NOT NULL,
    run_id         TEXT NOT NULL,
    source_id      TEXT NOT NULL,
    started_at_us  BIGINT NOT NULL,
    finished_at_us BIGINT,
    state          TEXT NOT NULL CHECK (state IN ('running', 'complete', 'partial')),
    counts         TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run_id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES source (tenant_id, source_id)
);

-- Bad input, by place and reason; never its content.
CREATE TABLE ingest_rejection (
    tenant_id   TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    file        TEXT NOT NULL,
    row_number  BIGINT,
    column_name TEXT,
    reason      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run_id, seq),
    FOREIGN KEY (tenant_id, run_id) REFERENCES ingest_run (tenant_id, run_id)
);

CREATE TABLE record (
    tenant_id       TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    source_id       TEXT NOT NULL,
    kind            TEXT NOT NULL,
    external_id     TEXT NOT NULL,
    version         BIGINT NOT NULL,
    body_sha256     TEXT NOT NULL,
    source_time_us  BIGINT,
    seen_run_id     TEXT NOT NULL,
    deleted_at_us   BIGINT,
    PRIMARY KEY (tenant_id, record_id),
    UNIQUE (tenant_id, source_id, kind, external_id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES source (tenant_id, source_id)
);
CREATE INDEX record_by_kind ON record (tenant_id, kind, external_id);

-- `batch_id` is the push that brought the version; its audit event holds the digest of everything in that batch.
CREATE TABLE record_version (
    tenant_id      TEXT NOT NULL,
    record_id      TEXT NOT NULL,
    version        BIGINT NOT NULL,
    body           TEXT NOT NULL,
    body_sha256    TEXT NOT NULL,
    source_time_us BIGINT,
    seen_at_us     BIGINT NOT NULL,
    batch_id       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, record_id, version),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX record_version_by_batch ON record_version (tenant_id, batch_id);

-- Exact look-up of what people type: order, invoice and tracking numbers, SKUs, e-mail addresses. Current version only.
CREATE TABLE record_identifier (
    tenant_id TEXT NOT NULL,
    scheme    TEXT NOT NULL,
    normal    TEXT NOT NULL,
    record_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, normal, scheme, record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX record_identifier_by_record ON record_identifier (tenant_id, record_id);

CREATE TABLE record_link (
    tenant_id          TEXT NOT NULL,
    record_id          TEXT NOT NULL,
    field              TEXT NOT NULL,
    target_kind        TEXT NOT NULL,
    target_external_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, record_id, field, target_kind, target_external_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX record_link_by_target ON record_link (tenant_id, target_kind, target_external_id);

-- Whatever can be cited: policies, runbooks, pages, notes, and the card of a record (record_id set, part 'main' or 'cost').
CREATE TABLE document (
    tenant_id          TEXT NOT NULL,
    document_id        TEXT NOT NULL,
    source_id          TEXT NOT NULL,
    external_id        TEXT NOT NULL,
    kind               TEXT NOT NULL,
    title              TEXT NOT NULL,
    record_id          TEXT,
    policy_id          TEXT,
    effective_from_day BIGINT,
    effective_to_day   BIGINT,
    superseded_from_day BIGINT,
    audience           TEXT NOT NULL,
    meta               TEXT NOT NULL,
    version            BIGINT NOT NULL,
    content_sha256     TEXT NOT NULL,
    seen_run_id        TEXT NOT NULL,
    deleted_at_us      BIGINT,
    PRIMARY KEY (tenant_id, document_id),
    UNIQUE (tenant_id, source_id, external_id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES source (tenant_id, source_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX document_by_record ON document (tenant_id, record_id);
CREATE INDEX document_by_policy ON document (tenant_id, policy_id);

-- "This document replaces policy P": from its own first day on, whichever of the two arrives first.
CREATE TABLE document_supersedes (
    tenant_id   TEXT NOT NULL,
    document_id TEXT NOT NULL,
    policy_id   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, document_id, policy_id),
    FOREIGN KEY (tenant_id, document_id) REFERENCES document (tenant_id, document_id)
);
CREATE INDEX document_supersedes_by_policy ON document_supersedes (tenant_id, policy_id);

-- The exact text that citations point into. `spans` (records only): field path to byte range.
CREATE TABLE document_version (
    tenant_id      TEXT NOT NULL,
    document_id    TEXT NOT NULL,
    version        BIGINT NOT NULL,
    title          TEXT NOT NULL,
    body           TEXT NOT NULL,
    body_sha256    TEXT NOT NULL,
    spans          TEXT,
    audience       TEXT NOT NULL,
    record_version BIGINT,
    seen_at_us     BIGINT NOT NULL,
    batch_id       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, document_id, version),
    FOREIGN KEY (tenant_id, document_id) REFERENCES document (tenant_id, document_id)
);
CREATE INDEX document_version_by_batch ON document_version (tenant_id, batch_id);

-- Chunks of current versions. The states say what the vector index has: 0 not yet, 1 written.
CREATE TABLE chunk (
    tenant_id     TEXT NOT NULL,
    chunk_id      TEXT NOT NULL,
    document_id   TEXT NOT NULL,
    version       BIGINT NOT NULL,
    ordinal       BIGINT NOT NULL,
    span_start    BIGINT NOT NULL,
    span_end      BIGINT NOT NULL,
    heading_path  TEXT NOT NULL,
    tokens        BIGINT NOT NULL,
    text_sha256   TEXT NOT NULL,
    sparse_state  BIGINT NOT NULL DEFAULT 0 CHECK (sparse_state IN (0, 1)),
    dense_state   BIGINT NOT NULL DEFAULT 0 CHECK (dense_state IN (0, 1)),
    asked         BIGINT NOT NULL DEFAULT 0,
    added_at_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, chunk_id),
    FOREIGN KEY (tenant_id, document_id) REFERENCES document (tenant_id, document_id)
);
CREATE INDEX chunk_by_document ON chunk (tenant_id, document_id);
CREATE INDEX chunk_sparse_pending ON chunk (tenant_id, added_at_us) WHERE sparse_state = 0;
CREATE INDEX chunk_dense_pending ON chunk (tenant_id, asked, added_at_us) WHERE dense_state = 0;

-- Points to take out of the vector index, written in the transaction that deleted the chunk.
CREATE TABLE index_removal (
    tenant_id TEXT NOT NULL REFERENCES tenant (tenant_id),
    chunk_id  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, chunk_id)
);

-- Vectors by model and exact embedded text (little-endian f32), so that unchanged text is never embedded twice.
CREATE TABLE embedding_cache (
    tenant_id   TEXT NOT NULL REFERENCES tenant (tenant_id),
    model       TEXT NOT NULL,
    text_sha256 TEXT NOT NULL,
    vector      BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, model, text_sha256)
);

ALTER TABLE source ENABLE ROW LEVEL SECURITY;
ALTER TABLE source FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON source USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE ingest_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE ingest_run FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON ingest_run USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE ingest_rejection ENABLE ROW LEVEL SECURITY;
ALTER TABLE ingest_rejection FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON ingest_rejection USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE record ENABLE ROW LEVEL SECURITY;
ALTER TABLE record FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON record USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE record_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE record_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON record_version USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE record_identifier ENABLE ROW LEVEL SECURITY;
ALTER TABLE record_identifier FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON record_identifier USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE record_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE record_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON record_link USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE document FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON document USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE document_supersedes ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_supersedes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON document_supersedes USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE document_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON document_version USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE chunk FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON chunk USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE index_removal ENABLE ROW LEVEL SECURITY;
ALTER TABLE index_removal FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON index_removal USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
ALTER TABLE embedding_cache ENABLE ROW LEVEL SECURITY;
ALTER TABLE embedding_cache FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON embedding_cache USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
