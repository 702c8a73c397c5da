-- +goose Up
-- What a wallet's entries up to one of them add up to, every few thousand entries.
CREATE TABLE entry_sums (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    seq       bigint NOT NULL,
    kind      smallint NOT NULL,
    source    text NOT NULL,
    amount    bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (agency_id, wallet_id, seq, kind, source)
);

-- +goose Down
DROP TABLE entry_sums;
