-- Typed values of the current version of each record, one row a record, so that questions can be counted and summed in SQL. Which canonical
-- field stands in which column is decided per kind in `record/layout.rs`; `tenant.facts_layout` says which layout a tenant's rows follow,
-- rows of another one are written again before they are read. `t`: text as stored (t0 is the status), `d`: days since 1970-01-01, `n`: numbers
-- and flags in millionths, `m`: amounts in millionths with their currency in `k`. Costs stand in rows of their own (part 'cost').
CREATE TABLE record_fact (
    tenant_id   TEXT NOT NULL,
    record_id   TEXT NOT NULL,
    part        TEXT NOT NULL CHECK (part IN ('main', 'cost')),
    kind        TEXT NOT NULL,
    external_id TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    audience    TEXT NOT NULL,
    t0 TEXT, t1 TEXT, t2 TEXT, t3 TEXT, t4 TEXT, t5 TEXT, t6 TEXT, t7 TEXT,
    t8 TEXT, t9 TEXT, t10 TEXT, t11 TEXT, t12 TEXT, t13 TEXT, t14 TEXT, t15 TEXT,
    t16 TEXT, t17 TEXT, t18 TEXT, t19 TEXT, t20 TEXT, t21 TEXT, t22 TEXT, t23 TEXT,
    d0 BIGINT, d1 BIGINT, d2 BIGINT, d3 BIGINT, d4 BIGINT, d5 BIGINT, d6 BIGINT, d7 BIGINT,
    d8 BIGINT, d9 BIGINT, d10 BIGINT, d11 BIGINT,
    n0 BIGINT, n1 BIGINT, n2 BIGINT, n3 BIGINT, n4 BIGINT, n5 BIGINT, n6 BIGINT, n7 BIGINT,
    n8 BIGINT, n9 BIGINT, n10 BIGINT, n11 BIGINT, n12 BIGINT, n13 BIGINT, n14 BIGINT, n15 BIGINT,
    n16 BIGINT, n17 BIGINT, n18 BIGINT, n19 BIGINT,
    m0 BIGINT, k0 TEXT, m1 BIGINT, k1 TEXT, m2 BIGINT, k2 TEXT, m3 BIGINT, k3 TEXT, m4 BIGINT, k4 TEXT,
    m5 BIGINT, k5 TEXT, m6 BIGINT, k6 TEXT, m7 BIGINT, k7 TEXT, m8 BIGINT, k8 TEXT, m9 BIGINT, k9 TEXT,
    PRIMARY KEY (tenant_id, record_id, part),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX record_fact_by_id ON record_fact (tenant_id, kind, part, external_id);
CREATE INDEX record_fact_by_status ON record_fact (tenant_id, kind, part, t0);

-- Words a question may use: values that occur or once occurred (statuses, carriers, warehouses, currencies), an empty value for "the field
-- occurs", and under kind '' the audiences of records. Only grows, by one row a new value.
CREATE TABLE record_value (
    tenant_id TEXT NOT NULL REFERENCES tenant (tenant_id),
    kind      TEXT NOT NULL,
    field     TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value)
);

-- Words of the names of customers, suppliers and products, so that a question can name them.
CREATE TABLE record_name (
    tenant_id TEXT NOT NULL,
    word      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    record_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, word, kind, record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES record (tenant_id, record_id)
);
CREATE INDEX record_name_by_record ON record_name (tenant_id, record_id);

-- "No record of that kind refers to this one" reads the index alone.
DROP INDEX record_link_by_target;
CREATE INDEX record_link_by_target ON record_link (tenant_id, target_kind, target_external_id, record_id);

-- Layout of a tenant's rows in `record_fact`: its hash when all are written, hash@record while they are being written again.
ALTER TABLE tenant ADD COLUMN facts_layout TEXT;
