-- +goose Up
-- What the payment provider charged for disputes of a payment, in minor units.
ALTER TABLE purchases ADD COLUMN dispute_fee bigint NOT NULL DEFAULT 0 CHECK (dispute_fee >= 0);

-- +goose Down
ALTER TABLE purchases DROP COLUMN dispute_fee;
