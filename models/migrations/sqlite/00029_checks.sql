-- +goose Up
-- Nothing: SQLite reads its CHECKs when a statement is prepared, and statements are kept.
SELECT 1;

-- +goose Down
SELECT 1;
