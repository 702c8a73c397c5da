-- +goose Up
-- When the plan begins that is noted as the next; 0: with the next period. Kept from when it was noted, for a payment made since may be for the time after.
ALTER TABLE subscriptions ADD COLUMN next_at integer NOT NULL DEFAULT 0;

-- When the AI of a wallet was first refused that nothing was ever charged to: from then on somebody waits for its answers.
ALTER TABLE alarms ADD COLUMN asked_at integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE alarms DROP COLUMN asked_at;
ALTER TABLE subscriptions DROP COLUMN next_at;
