-- +goose Up
-- Credits assigned to many clients in one act, with what each got.
CREATE TABLE bulk_assignments (
    agency_id       uuid NOT NULL REFERENCES agencies (id),
    id              uuid NOT NULL,
    way             text NOT NULL CHECK (way IN ('same', 'target', 'share', 'list')),
    credits         bigint NOT NULL CHECK (credits > 0),
    accounts        integer NOT NULL CHECK (accounts BETWEEN 1 AND 1000),
    note            text NOT NULL CHECK (length(note) <= 500),
    created_by      text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    undone_at       bigint NOT NULL DEFAULT 0,
    undone_by       text NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key),
    CHECK ((undone_at = 0) = (undone_by = ''))
);
CREATE TABLE bulk_assignment_parts (
    agency_id      uuid NOT NULL,
    bulk_id        uuid NOT NULL,
    sub_account_id uuid NOT NULL,
    credits        bigint NOT NULL CHECK (credits > 0),
    act_id         uuid NOT NULL,
    returned       bigint NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND credits),
    PRIMARY KEY (agency_id, bulk_id, sub_account_id),
    FOREIGN KEY (agency_id, bulk_id) REFERENCES bulk_assignments (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);

-- Credits that come every month, and each month's turn.
CREATE TABLE standing_assignments (
    agency_id      uuid NOT NULL,
    id             uuid NOT NULL,
    sub_account_id uuid NOT NULL,
    credits        bigint NOT NULL CHECK (credits > 0),
    day            integer NOT NULL CHECK (day BETWEEN 1 AND 31),
    unused         text NOT NULL CHECK (unused IN ('stay', 'return')),
    note           text NOT NULL CHECK (length(note) <= 500),
    time_zone      text NOT NULL,
    next_at        bigint NOT NULL,
    created_by     text NOT NULL,
    ended_at       bigint NOT NULL DEFAULT 0,
    created_at     bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);
CREATE UNIQUE INDEX standing_assignments_one ON standing_assignments (agency_id, sub_account_id) WHERE ended_at = 0;
CREATE INDEX standing_assignments_due ON standing_assignments (next_at, agency_id, id) WHERE ended_at = 0;
CREATE TABLE standing_turns (
    agency_id   uuid NOT NULL,
    standing_id uuid NOT NULL,
    due_at      bigint NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('done', 'short', 'pooled', 'closed', 'full')),
    credits     bigint NOT NULL CHECK (credits >= 0),
    returned    bigint NOT NULL CHECK (returned >= 0),
    available   bigint NOT NULL,
    act_id      uuid,
    created_at  bigint NOT NULL,
    PRIMARY KEY (agency_id, standing_id, due_at),
    FOREIGN KEY (agency_id, standing_id) REFERENCES standing_assignments (agency_id, id),
    CHECK ((outcome = 'done') = (act_id IS NOT NULL))
);

-- +goose Down
DROP TABLE standing_turns, standing_assignments, bulk_assignment_parts, bulk_assignments;
