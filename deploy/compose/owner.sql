-- The application's tables belong to a role that nobody logs in as, and the pool least of all.
CREATE ROLE shop_owner NOLOGIN;
ALTER DATABASE shop OWNER TO shop_owner;
