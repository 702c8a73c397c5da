-- +goose Up
-- A wallet draws on one lot at a time, and both change with every charge. So
-- what was drawn from the newest of them stands in the wallet's row until the
-- lot's is written again, and a charge changes one row less. Whoever reads lots
-- reads them as they are; only package ledger knows lot_rows.
ALTER TABLE wallets ADD COLUMN drawn_lot_id uuid;
ALTER TABLE wallets ADD COLUMN drawn bigint NOT NULL DEFAULT 0;
ALTER TABLE wallets ADD CONSTRAINT wallets_drawn CHECK (drawn >= 0 AND (drawn > 0) = (drawn_lot_id IS NOT NULL));
ALTER TABLE wallets ADD CONSTRAINT wallets_left CHECK (balance + excess >= 0);
ALTER TABLE lots RENAME TO lot_rows;
CREATE VIEW lots AS
SELECT l.agency_id, l.id, l.wallet_id, l.source, l.priority, l.granted, l.remaining - COALESCE(w.drawn, 0) AS remaining, l.held, l.open, l.frozen,
    l.effective_at, l.expires_at, l.unit_cost, l.cost, l.currency, l.purchase_id, l.parent_lot_id, l.period_start, l.note, l.created_at
FROM lot_rows l LEFT JOIN wallets w ON w.agency_id = l.agency_id AND w.id = l.wallet_id AND w.drawn_lot_id = l.id;

-- +goose Down
DROP VIEW lots;
UPDATE lot_rows l SET remaining = l.remaining - w.drawn FROM wallets w WHERE w.agency_id = l.agency_id AND w.drawn_lot_id = l.id;
ALTER TABLE lot_rows RENAME TO lots;
ALTER TABLE wallets DROP CONSTRAINT wallets_left;
ALTER TABLE wallets DROP CONSTRAINT wallets_drawn;
ALTER TABLE wallets DROP COLUMN drawn;
ALTER TABLE wallets DROP COLUMN drawn_lot_id;
