-- +goose Up
-- What a quote holds packages at until it expires, and which quote a sale was made by.
CREATE TABLE quote_offers (
    agency_id  uuid NOT NULL,
    quote_id   uuid NOT NULL,
    package_id uuid NOT NULL,
    credits    bigint NOT NULL CHECK (credits > 0),
    price      bigint NOT NULL CHECK (price >= 0),
    currency   text NOT NULL CHECK (length(currency) = 3),
    every      text NOT NULL CHECK (every IN ('once', 'month')),
    PRIMARY KEY (agency_id, quote_id, package_id),
    FOREIGN KEY (agency_id, quote_id) REFERENCES quotes (agency_id, id),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id)
);
ALTER TABLE purchases ADD COLUMN quote_id uuid;

-- +goose Down
ALTER TABLE purchases DROP COLUMN quote_id;
DROP TABLE quote_offers;
