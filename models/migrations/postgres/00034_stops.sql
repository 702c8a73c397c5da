-- +goose Up
-- Up to which entry a wallet was in service when it was stopped. The audit asks what was drawn afterwards; the order is the
-- entries', for clocks jump.
CREATE TABLE wallet_stops (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (agency_id, wallet_id)
);

-- Beside what is new, a few old entries are read again each minute.
ALTER TABLE patrols ADD COLUMN again_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE patrols ADD COLUMN again_balance bigint NOT NULL DEFAULT 0;
ALTER TABLE patrols ADD COLUMN again_booked_at bigint NOT NULL DEFAULT 0;
ALTER TABLE patrols ADD COLUMN again_at bigint NOT NULL DEFAULT 0;
CREATE INDEX patrols_again ON patrols (again_at, agency_id, wallet_id);

-- +goose Down
DROP INDEX patrols_again;
ALTER TABLE patrols DROP COLUMN again_at;
ALTER TABLE patrols DROP COLUMN again_booked_at;
ALTER TABLE patrols DROP COLUMN again_balance;
ALTER TABLE patrols DROP COLUMN again_seq;
DROP TABLE wallet_stops;
