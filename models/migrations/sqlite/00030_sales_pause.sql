-- +goose Up
-- Since when an agency that sold takes no money, as its people were told: so they are told once, and of the end only after a beginning.
ALTER TABLE stripe_accounts ADD COLUMN paused_at integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE stripe_accounts DROP COLUMN paused_at;
