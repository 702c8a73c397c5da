-- +goose Up
-- The few wallets whose automatic top-up was declined: each look at a balance asks for them.
CREATE INDEX top_ups_declined ON top_ups (wallet_id) WHERE state = 'on' AND declines > 0 OR state = 'paused' AND reason IN ('declined', 'blocked', 'authentication');

-- +goose Down
DROP INDEX top_ups_declined;
