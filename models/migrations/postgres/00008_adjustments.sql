-- +goose Up
-- Adjustments that wait for a second person, and what the fleet's pages look up.

CREATE TABLE adjustment_requests (
    agency_id       uuid NOT NULL REFERENCES agencies (id),
    id              uuid NOT NULL,
    wallet_id       uuid NOT NULL,
    credits         bigint NOT NULL CHECK (credits <> 0),
    source          text NOT NULL CHECK (source IN ('adjustment', 'promo', 'referral')),
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    shown           boolean NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'approved', 'declined')),
    requested_by    text NOT NULL,
    decided_by      text NOT NULL DEFAULT '',
    decided_at      bigint NOT NULL DEFAULT 0,
    act_id          uuid,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key),
    FOREIGN KEY (agency_id, wallet_id) REFERENCES wallets (agency_id, id),
    -- Nobody decides what they asked for themselves.
    CHECK (decided_by <> requested_by),
    CHECK ((state = 'pending') = (decided_at = 0) AND (state = 'pending') = (decided_by = '')),
    CHECK ((state = 'approved') = (act_id IS NOT NULL))
);
CREATE INDEX adjustment_requests_pending ON adjustment_requests (agency_id, id) WHERE state = 'pending';

CREATE INDEX purchases_booked ON purchases (agency_id, credited_at) WHERE credited_at > 0;
CREATE INDEX purchases_review ON purchases (agency_id, id) WHERE status = 'review';
CREATE INDEX stripe_events_received ON stripe_events (received_at);
CREATE INDEX stripe_events_dead ON stripe_events (received_at) WHERE state = 'dead';

-- +goose Down
DROP INDEX stripe_events_dead, stripe_events_received, purchases_review, purchases_booked;
DROP TABLE adjustment_requests;
