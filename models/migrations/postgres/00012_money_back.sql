-- +goose Up
-- What happens to a payment after it was made. Amounts are minor units of the
-- purchase's currency, as Stripe was last seen to say; revoked and frozen are the
-- credits that this took.

ALTER TABLE purchases ADD COLUMN paid bigint NOT NULL DEFAULT 0 CHECK (paid >= 0);
ALTER TABLE purchases ADD COLUMN refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0);
ALTER TABLE purchases ADD COLUMN refund_pending bigint NOT NULL DEFAULT 0 CHECK (refund_pending >= 0);
ALTER TABLE purchases ADD COLUMN refunded_at bigint NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN dispute text NOT NULL DEFAULT '' CHECK (dispute IN ('', 'inquiry', 'open', 'won', 'lost'));
ALTER TABLE purchases ADD COLUMN dispute_held bigint NOT NULL DEFAULT 0 CHECK (dispute_held >= 0);
ALTER TABLE purchases ADD COLUMN dispute_lost bigint NOT NULL DEFAULT 0 CHECK (dispute_lost >= 0);
ALTER TABLE purchases ADD COLUMN dispute_answer_by bigint NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN disputed_at bigint NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN warned_at bigint NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN revoked bigint NOT NULL DEFAULT 0 CHECK (revoked >= 0 AND revoked <= credits);
ALTER TABLE purchases ADD COLUMN revoked_spent bigint NOT NULL DEFAULT 0 CHECK (revoked_spent >= 0 AND revoked_spent <= revoked);
ALTER TABLE purchases ADD COLUMN frozen bigint NOT NULL DEFAULT 0 CHECK (frozen >= 0 AND frozen <= credits);
ALTER TABLE purchases ADD COLUMN cost_back bigint NOT NULL DEFAULT 0 CHECK (cost_back >= 0 AND cost_back <= cost);
-- Every look at Stripe takes the next number before it looks, and what it saw is
-- booked only when no later look was: an old answer never overtakes a new one.
ALTER TABLE purchases ADD COLUMN looks bigint NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN looked bigint NOT NULL DEFAULT 0;

UPDATE purchases SET paid = price WHERE credited_at > 0;

CREATE INDEX purchases_unsettled ON purchases (checked_at) WHERE dispute IN ('inquiry', 'open') OR refund_pending > 0;
CREATE INDEX acts_money_back ON acts (agency_id, reference) WHERE kind IN ('refund', 'dispute');
CREATE INDEX purchases_paid ON purchases (paid_at) WHERE paid_at > 0;

-- Refunds that somebody here asked for, written before Stripe hears of them.
CREATE TABLE refund_requests (
    agency_id       uuid NOT NULL,
    id              uuid NOT NULL,
    purchase_id     uuid NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    state           text NOT NULL CHECK (state IN ('asked', 'sent', 'refused')),
    refund          text NOT NULL DEFAULT '',
    note            text NOT NULL DEFAULT '',
    requested_by    text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key),
    FOREIGN KEY (agency_id, purchase_id) REFERENCES purchases (agency_id, id),
    CHECK ((state = 'sent') = (refund <> ''))
);
CREATE INDEX refund_requests_purchase ON refund_requests (agency_id, purchase_id, id);
CREATE INDEX refund_requests_asked ON refund_requests (created_at) WHERE state = 'asked';

-- Payments as Stripe's own lists show them, ours or not: what is compared with
-- the purchases, and where a payment stands that no purchase knows.
CREATE TABLE seen_payments (
    payment     text NOT NULL PRIMARY KEY,
    account     text NOT NULL,
    session     text NOT NULL,
    reference   text NOT NULL,
    agency_id   uuid,
    purchase_id uuid,
    amount      bigint NOT NULL,
    refunded    bigint NOT NULL,
    currency    text NOT NULL,
    live        boolean NOT NULL,
    paid_at     bigint NOT NULL,
    seen_at     bigint NOT NULL
);
CREATE INDEX seen_payments_day ON seen_payments (paid_at);
CREATE INDEX seen_payments_stray ON seen_payments (paid_at) WHERE purchase_id IS NULL;

-- Comparisons with Stripe's lists, newest last.
CREATE TABLE reconciliations (
    started_at  bigint NOT NULL PRIMARY KEY,
    finished_at bigint NOT NULL DEFAULT 0,
    since       bigint NOT NULL,
    accounts    bigint NOT NULL DEFAULT 0,
    payments    bigint NOT NULL DEFAULT 0,
    settled     bigint NOT NULL DEFAULT 0,
    events      bigint NOT NULL DEFAULT 0,
    note        text NOT NULL DEFAULT ''
);

-- +goose Down
DROP TABLE reconciliations;
DROP TABLE seen_payments;
DROP TABLE refund_requests;
DROP INDEX purchases_paid;
DROP INDEX acts_money_back;
DROP INDEX purchases_unsettled;
ALTER TABLE purchases DROP COLUMN looked;
ALTER TABLE purchases DROP COLUMN looks;
ALTER TABLE purchases DROP COLUMN cost_back;
ALTER TABLE purchases DROP COLUMN frozen;
ALTER TABLE purchases DROP COLUMN revoked_spent;
ALTER TABLE purchases DROP COLUMN revoked;
ALTER TABLE purchases DROP COLUMN warned_at;
ALTER TABLE purchases DROP COLUMN disputed_at;
ALTER TABLE purchases DROP COLUMN dispute_answer_by;
ALTER TABLE purchases DROP COLUMN dispute_lost;
ALTER TABLE purchases DROP COLUMN dispute_held;
ALTER TABLE purchases DROP COLUMN dispute;
ALTER TABLE purchases DROP COLUMN refunded_at;
ALTER TABLE purchases DROP COLUMN refund_pending;
ALTER TABLE purchases DROP COLUMN refunded;
ALTER TABLE purchases DROP COLUMN paid;
