-- +goose Up
-- A wallet draws on one lot at a time, and both change with every charge. So
-- what was drawn from the newest of them stands in the wallet's row until the
-- lot's is written again, and a charge changes one row less. Whoever reads lots
-- reads them as they are; only package ledger knows lot_rows. The sub-query
-- leaves the order of a join to whoever joins.
ALTER TABLE wallets ADD COLUMN drawn_lot_id blob;
ALTER TABLE wallets ADD COLUMN drawn integer NOT NULL DEFAULT 0 CHECK (drawn >= 0 AND (drawn > 0) = (drawn_lot_id IS NOT NULL))
    CHECK (balance + excess >= 0);
ALTER TABLE lots RENAME TO lot_rows;
CREATE VIEW lots AS
SELECT l.agency_id, l.id, l.wallet_id, l.source, l.priority, l.granted, l.remaining - COALESCE((SELECT w.drawn FROM wallets w
        WHERE w.agency_id = l.agency_id AND w.id = l.wallet_id AND w.drawn_lot_id = l.id), 0) AS remaining, l.held, l.open, l.frozen,
    l.effective_at, l.expires_at, l.unit_cost, l.cost, l.currency, l.purchase_id, l.parent_lot_id, l.period_start, l.note, l.created_at
FROM lot_rows l;

-- +goose Down
DROP VIEW lots;
UPDATE lot_rows SET remaining = remaining - (SELECT w.drawn FROM wallets w WHERE w.agency_id = lot_rows.agency_id AND w.drawn_lot_id = lot_rows.id)
    WHERE (agency_id, id) IN (SELECT agency_id, drawn_lot_id FROM wallets);
ALTER TABLE lot_rows RENAME TO lots;
ALTER TABLE wallets DROP COLUMN drawn;
ALTER TABLE wallets DROP COLUMN drawn_lot_id;
