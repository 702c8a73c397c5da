-- +goose Up
-- Credits assigned to many clients in one act, with what each got.
CREATE TABLE bulk_assignments (
    agency_id       blob NOT NULL REFERENCES agencies (id),
    id              blob NOT NULL,
    way             text NOT NULL CHECK (way IN ('same', 'target', 'share', 'list')),
    credits         integer NOT NULL CHECK (credits > 0),
    accounts        integer NOT NULL CHECK (accounts BETWEEN 1 AND 1000),
    note            text NOT NULL CHECK (length(note) <= 500),
    created_by      text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     blob NOT NULL,
    undone_at       integer NOT NULL DEFAULT 0,
    undone_by       text NOT NULL DEFAULT '',
    created_at      integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key),
    CHECK ((undone_at = 0) = (undone_by = ''))
);
CREATE TABLE bulk_assignment_parts (
    agency_id      blob NOT NULL,
    bulk_id        blob NOT NULL,
    sub_account_id blob NOT NULL,
    credits        integer NOT NULL CHECK (credits > 0),
    act_id         blob NOT NULL,
    returned       integer NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND credits),
    PRIMARY KEY (agency_id, bulk_id, sub_account_id),
    FOREIGN KEY (agency_id, bulk_id) REFERENCES bulk_assignments (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);

-- Credits that come every month, and each month's turn.
CREATE TABLE standing_assignments (
    agency_id      blob NOT NULL,
    id             blob NOT NULL,
    sub_account_id blob NOT NULL,
    credits        integer NOT NULL CHECK (credits > 0),
    day            integer NOT NULL CHECK (day BETWEEN 1 AND 31),
    unused         text NOT NULL CHECK (unused IN ('stay', 'return')),
    note           text NOT NULL CHECK (length(note) <= 500),
    time_zone      text NOT NULL,
    next_at        integer NOT NULL,
    created_by     text NOT NULL,
    ended_at       integer NOT NULL DEFAULT 0,
    created_at     integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);
CREATE UNIQUE INDEX standing_assignments_one ON standing_assignments (agency_id, sub_account_id) WHERE ended_at = 0;
CREATE INDEX standing_assignments_due ON standing_assignments (next_at, agency_id, id) WHERE ended_at = 0;
CREATE TABLE standing_turns (
    agency_id   blob NOT NULL,
    standing_id blob NOT NULL,
    due_at      integer NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('done', 'short', 'pooled', 'closed', 'full')),
    credits     integer NOT NULL CHECK (credits >= 0),
    returned    integer NOT NULL CHECK (returned >= 0),
    available   integer NOT NULL,
    act_id      blob,
    created_at  integer NOT NULL,
    PRIMARY KEY (agency_id, standing_id, due_at),
    FOREIGN KEY (agency_id, standing_id) REFERENCES standing_assignments (agency_id, id),
    CHECK ((outcome = 'done') = (act_id IS NOT NULL))
);

-- +goose Down
DROP TABLE standing_turns;
DROP TABLE standing_assignments;
DROP TABLE bulk_assignment_parts;
DROP TABLE bulk_assignments;
