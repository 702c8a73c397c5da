-- +goose Up
-- How many credits were agreed to for the price, bonus included: so that a smaller pack or package at the same price is not bought by itself. 0: not known.
ALTER TABLE top_ups ADD COLUMN credits bigint NOT NULL DEFAULT 0 CHECK (credits >= 0);
UPDATE top_ups SET credits = quantity WHERE quantity > 0;
UPDATE top_ups SET credits = (SELECT p.credits + p.bonus FROM packs p WHERE p.id = top_ups.pack_id) WHERE quantity = 0 AND pack_id IN (SELECT id FROM packs);
UPDATE top_ups SET credits = COALESCE((SELECT p.credits FROM package_prices p WHERE p.agency_id = top_ups.agency_id AND p.package_id = top_ups.package_id AND p.created_at <= top_ups.agreed_at
    ORDER BY p.number DESC LIMIT 1), 0) WHERE package_id IS NOT NULL;

-- +goose Down
ALTER TABLE top_ups DROP COLUMN credits;
