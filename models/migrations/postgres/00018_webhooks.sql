-- +goose Up
-- Programs hear of what happens. An endpoint belongs to the platform (no agency)
-- or to an agency; like api_keys it is found by its id.
CREATE TABLE webhook_endpoints (
    id              uuid PRIMARY KEY,
    agency_id       uuid REFERENCES agencies (id),
    url             text NOT NULL CHECK (length(url) BETWEEN 8 AND 500),
    note            text NOT NULL DEFAULT '' CHECK (length(note) <= 200),
    events          text NOT NULL DEFAULT '',
    secret          text NOT NULL,
    old_secret      text NOT NULL DEFAULT '',
    old_until       bigint NOT NULL DEFAULT 0,
    failures        bigint NOT NULL DEFAULT 0,
    failing_since   bigint NOT NULL DEFAULT 0,
    retry_at        bigint NOT NULL DEFAULT 0,
    disabled_at     bigint NOT NULL DEFAULT 0,
    disabled_note   text NOT NULL DEFAULT '',
    idempotency_key text,
    fingerprint     bytea,
    created_by      text NOT NULL,
    created_at      bigint NOT NULL
);
CREATE INDEX webhook_endpoints_owner ON webhook_endpoints (agency_id, id);
CREATE UNIQUE INDEX webhook_endpoints_key ON webhook_endpoints (COALESCE(agency_id, '00000000-0000-0000-0000-000000000000'::uuid), idempotency_key);

-- What happened, in the very words programs are told.
CREATE TABLE webhook_events (
    agency_id  uuid NOT NULL,
    id         uuid NOT NULL,
    wallet_id  uuid NOT NULL,
    type       text NOT NULL,
    body       text NOT NULL CHECK (length(body) <= 8192),
    created_at bigint NOT NULL,
    PRIMARY KEY (agency_id, id)
);
CREATE INDEX webhook_events_id ON webhook_events (id);

-- One event on its way to one endpoint, written in the transaction that causes it.
-- Not a tenant's table, as mails are not: workers look across all of it, and a
-- test of the platform's endpoint is nobody's.
CREATE TABLE webhook_deliveries (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event_id    uuid NOT NULL,
    agency_id   uuid,
    type        text NOT NULL,
    body        text NOT NULL CHECK (length(body) <= 8192),
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'dead')),
    attempts    bigint NOT NULL DEFAULT 0,
    next_at     bigint NOT NULL,
    expires_at  bigint NOT NULL,
    status      bigint NOT NULL DEFAULT 0,
    note        text NOT NULL DEFAULT '',
    took        bigint NOT NULL DEFAULT 0,
    tried_at    bigint NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    ended_at    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at, endpoint_id) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE state <> 'queued';

-- What a visitor is told while the AI is paused; '' is the agency's own words, or
-- the usual ones.
ALTER TABLE agencies ADD COLUMN try_later text NOT NULL DEFAULT '';
ALTER TABLE sub_accounts ADD COLUMN try_later text NOT NULL DEFAULT '';

-- Who stands on receipts: an agency, as buyer and as seller alike, or a client.
-- The platform's own are a setting.
CREATE TABLE billing_details (
    agency_id      uuid NOT NULL REFERENCES agencies (id),
    sub_account_id uuid,
    company        text NOT NULL DEFAULT '',
    line1          text NOT NULL DEFAULT '',
    line2          text NOT NULL DEFAULT '',
    postal_code    text NOT NULL DEFAULT '',
    city           text NOT NULL DEFAULT '',
    region         text NOT NULL DEFAULT '',
    country        text NOT NULL DEFAULT '',
    tax_id         text NOT NULL DEFAULT '',
    updated_at     bigint NOT NULL,
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);
CREATE UNIQUE INDEX billing_details_whose ON billing_details (agency_id, COALESCE(sub_account_id, agency_id));

-- What Stripe says of a purchase's taxes and payment, and who stood on its receipt
-- when it was made out.
ALTER TABLE purchases ADD COLUMN tax bigint NOT NULL DEFAULT 0 CHECK (tax >= 0);
ALTER TABLE purchases ADD COLUMN method text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN card_last4 text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN invoice_url text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN seller_details text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN buyer_details text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE purchases DROP COLUMN buyer_details;
ALTER TABLE purchases DROP COLUMN seller_details;
ALTER TABLE purchases DROP COLUMN invoice_url;
ALTER TABLE purchases DROP COLUMN card_last4;
ALTER TABLE purchases DROP COLUMN method;
ALTER TABLE purchases DROP COLUMN tax;
DROP TABLE billing_details;
ALTER TABLE sub_accounts DROP COLUMN try_later;
ALTER TABLE agencies DROP COLUMN try_later;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_endpoints;
