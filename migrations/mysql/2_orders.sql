CREATE TABLE orders (
    id       BIGINT AUTO_INCREMENT PRIMARY KEY,
    dish     BIGINT NOT NULL REFERENCES dishes (id),
    quantity INT NOT NULL
);
