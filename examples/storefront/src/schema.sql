-- Read by SQLite and PostgreSQL alike. The constraints are the rules of the shop.
CREATE TABLE IF NOT EXISTS storefront_product (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    price_cents BIGINT NOT NULL CHECK (price_cents > 0),
    stock BIGINT NOT NULL CHECK (stock >= 0)
);

CREATE TABLE IF NOT EXISTS storefront_order (
    -- Chosen by whoever orders, so that an order sent twice is placed once.
    key TEXT PRIMARY KEY,
    product_id BIGINT NOT NULL REFERENCES storefront_product (id),
    quantity BIGINT NOT NULL CHECK (quantity > 0)
);

INSERT INTO storefront_product (id, name, description, price_cents, stock) VALUES
    (1, 'Cartridge fuse', 'Ceramic, slow-blow, 6.3 A. It goes first, so that nothing else has to.', 120, 240),
    (2, 'Salt & pepper mills', 'A pair, in beech. Grind from "dust" to <coarse>.', 3450, 12),
    (3, 'Hurricane lantern', 'Burns for twenty hours, with or without the power company.', 2890, 7),
    (4, 'Enamel kettle', 'Two litres. Whistles.', 4100, 3)
ON CONFLICT DO NOTHING;
