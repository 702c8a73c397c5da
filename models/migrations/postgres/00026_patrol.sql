-- +goose Up
-- Up to which entry each wallet was checked in passing, and the balance there. A
-- wallet whose books did not add up is out of service until a person says so.
CREATE TABLE patrols (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    seq bigint NOT NULL,
    balance bigint NOT NULL,
    booked_at bigint NOT NULL,
    looked_at bigint NOT NULL,
    broken text NOT NULL DEFAULT '',
    PRIMARY KEY (agency_id, wallet_id)
);
ALTER TABLE wallets ADD COLUMN quarantined_at bigint NOT NULL DEFAULT 0;
CREATE INDEX wallets_quarantined ON wallets (agency_id) WHERE quarantined_at > 0;

-- +goose Down
DROP INDEX wallets_quarantined;
ALTER TABLE wallets DROP COLUMN quarantined_at;
DROP TABLE patrols;
