-- +goose Up
-- A wallet's watch: while what is left stays within [watch_below, watch_from)
-- nobody has to look at it. An empty window is no watch. A booking that leaves it
-- writes the wallet into stirred, once, and the clock's worker looks.
ALTER TABLE wallets ADD COLUMN watch_below bigint NOT NULL DEFAULT 0;
ALTER TABLE wallets ADD COLUMN watch_from bigint NOT NULL DEFAULT 0;
CREATE TABLE stirred (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (agency_id, wallet_id)
);
CREATE INDEX stirred_by_time ON stirred (at);
INSERT INTO stirred (agency_id, wallet_id, at) SELECT agency_id, id, last_at FROM wallets;

-- +goose Down
DROP TABLE stirred;
ALTER TABLE wallets DROP COLUMN watch_from;
ALTER TABLE wallets DROP COLUMN watch_below;
