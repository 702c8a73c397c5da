-- +goose Up
-- What a wallet's entries up to one of them add up to, every few thousand entries.
CREATE TABLE entry_sums (
    agency_id blob NOT NULL,
    wallet_id blob NOT NULL,
    seq       integer NOT NULL,
    kind      integer NOT NULL,
    source    text NOT NULL,
    amount    integer NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (agency_id, wallet_id, seq, kind, source)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE entry_sums;
