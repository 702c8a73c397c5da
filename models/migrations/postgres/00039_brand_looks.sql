-- +goose Up
-- More of how a portal looks: a logo for dark pages, an icon, the shape of corners, and what stands at its foot.
ALTER TABLE brands ADD COLUMN logo_dark text NOT NULL DEFAULT '';
ALTER TABLE brands ADD COLUMN logo_dark_width integer NOT NULL DEFAULT 0;
ALTER TABLE brands ADD COLUMN logo_dark_height integer NOT NULL DEFAULT 0;
ALTER TABLE brands ADD COLUMN icon text NOT NULL DEFAULT '';
ALTER TABLE brands ADD COLUMN corners text NOT NULL DEFAULT '' CHECK (corners IN ('', 'square', 'round'));
ALTER TABLE brands ADD COLUMN links text NOT NULL DEFAULT '' CHECK (length(links) <= 8000);

-- +goose Down
ALTER TABLE brands DROP COLUMN logo_dark;
ALTER TABLE brands DROP COLUMN logo_dark_width;
ALTER TABLE brands DROP COLUMN logo_dark_height;
ALTER TABLE brands DROP COLUMN icon;
ALTER TABLE brands DROP COLUMN corners;
ALTER TABLE brands DROP COLUMN links;
