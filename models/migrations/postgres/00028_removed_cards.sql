-- +goose Up
-- A saved card that was removed at Stripe. Its payment method stays in its place, named here too: so a card that is saved later is another one by itself.
ALTER TABLE top_ups ADD COLUMN removed_card text NOT NULL DEFAULT '' CHECK (state <> 'on' OR removed_card <> payment_method);
ALTER TABLE top_ups ADD COLUMN card_looks bigint NOT NULL DEFAULT 0;
CREATE INDEX top_ups_card ON top_ups (payment_method);

-- +goose Down
DROP INDEX top_ups_card;
ALTER TABLE top_ups DROP COLUMN card_looks;
ALTER TABLE top_ups DROP COLUMN removed_card;
