-- +goose Up
-- Counts every change of a wallet or of its lots, so that a process may go by
-- what it remembers of a wallet and find out, while writing, that it is old.
ALTER TABLE wallets ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE wallets DROP COLUMN version;
